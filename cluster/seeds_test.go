package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// names is a Resolver from tables.
type names struct {
	mu    sync.Mutex // guards what follows
	hosts map[string][]string
	srv   map[string][]*net.SRV
	fail  error
	asked []string
}

func (n *names) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, host)
	if n.fail != nil {
		return nil, n.fail
	}
	var ips []netip.Addr
	for _, ip := range n.hosts[host] {
		ips = append(ips, netip.MustParseAddr(ip))
	}
	if ips == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return ips, ctx.Err()
}

func (n *names) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, service+proto+name)
	if n.fail != nil {
		return "", nil, n.fail
	}
	if n.srv[name] == nil {
		return "", nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return name, n.srv[name], nil
}

func (n *names) set(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
}

// finder is the seeds of a server at simAddr(0) that joins nobody but tells whom it tried.
type finder struct {
	*seeds
	urgent bool

	mu    sync.Mutex // guards tried
	tried []string
}

func newFinder(o Options, config ...Server) *finder {
	f := &finder{urgent: true}
	if o.Self.Addr == "" {
		o.Self.Addr = simAddr(0)
	}
	o.Consensus = &fakeRaft{world: newWorld(nil), nodeID: "me"}
	o.Consensus.(*fakeRaft).world.groups["g"] = &raftGroup{servers: append(config, Server{"me", o.Self.Addr, true})}
	dir := newDirectory(entry{Member: Member{NodeID: "me", Addr: o.Self.Addr}, gossipAddr: simAddr(0)}, "")
	f.seeds = newSeeds(o, dir, f.try, func() bool { return f.urgent }, slog.New(slog.DiscardHandler))
	return f
}

func (f *finder) try(addr string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tried = append(f.tried, addr)
	return errors.New("nobody")
}

// find passes once and gives the addresses tried, sorted.
func (f *finder) find(t *testing.T) []string {
	t.Helper()
	f.tried = nil
	f.pass(t.Context())
	slices.Sort(f.tried)
	return f.tried
}

func wantFound(t *testing.T, f *finder, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, f.find(t)); diff != "" {
		t.Error("tried (-want +got):\n" + diff)
	}
}

func TestSeeds_ResolveNamesEachTimeAndLeaveTheOwnAddressOut(t *testing.T) {
	dns := &names{hosts: map[string][]string{"servers.example": {"10.0.0.1", "10.0.0.2", "2001:db8::1"}}}
	f := newFinder(Options{
		Seeds: []string{"servers.example:7400", "10.0.0.1:7400", "me.example:7400", "10.0.0.9:7400"},
		Self:  Member{Addr: "me.example:7400"}, Resolver: dns,
	}, Server{"b", "10.0.0.7:7400", true})
	wantFound(t, f, "10.0.0.2:7400", "10.0.0.7:7400", "10.0.0.9:7400", "[2001:db8::1]:7400")
	// One is alive, one was known and has died, and the name means others now.
	dns.set(func() { dns.hosts["servers.example"] = []string{"10.0.0.3"} })
	put := func(id, addr string) {
		f.dir.put(entry{Member: Member{NodeID: id, Incarnation: "1"}, gossipAddr: addr})
	}
	put("c", "10.0.0.9:7400")
	put("d", "10.0.0.5:7400")
	f.dir.drop("d/1")
	wantFound(t, f, "10.0.0.3:7400", "10.0.0.5:7400", "10.0.0.7:7400")
	if len(dns.asked) != 2 {
		t.Errorf("looked up %v", dns.asked)
	}
}

func TestSeeds_NamesInTheLogAreLookedUp(t *testing.T) {
	dns := &names{hosts: map[string][]string{"b.example": {"10.0.0.7"}}}
	f := newFinder(Options{Resolver: dns}, Server{"b", "b.example:7400", true})
	wantFound(t, f, "10.0.0.7:7400")
	dns.set(func() { dns.hosts["b.example"] = []string{"10.0.0.8"} })
	wantFound(t, f, "10.0.0.8:7400")
}

func TestSeeds_ServiceRecordsGiveAllTargetsAndPorts(t *testing.T) {
	dns := &names{
		hosts: map[string][]string{"a.example": {"10.0.0.1", "10.0.0.2"}, "b.example": {"10.0.0.3"}},
		srv: map[string][]*net.SRV{"_raft._tcp.example": {
			{Target: "a.example.", Port: 7400, Priority: 1}, {Target: "b.example.", Port: 7500, Priority: 9},
			{Target: "gone.example.", Port: 7400}, {Target: "."}, {Target: "10.0.0.9", Port: 1},
		}},
	}
	f := newFinder(Options{Seeds: []string{"srv:_raft._tcp.example"}, Resolver: dns})
	wantFound(t, f, "10.0.0.2:7400", "10.0.0.3:7500", "10.0.0.9:1")
	if p := f.problem(); !strings.Contains(p, "srv:_raft._tcp.example") || !strings.Contains(p, "gone.example") {
		t.Errorf("problem %q", p)
	}
	dns.set(func() { dns.srv["_raft._tcp.example"] = []*net.SRV{{Target: "b.example.", Port: 7600}} })
	wantFound(t, f, "10.0.0.3:7600")
	if p := f.problem(); p != "" {
		t.Errorf("problem %q", p)
	}
	// What was known last is worth a try while DNS is out of order.
	dns.set(func() { dns.fail = errors.New("server misbehaving") })
	wantFound(t, f, "10.0.0.3:7600")
	if p := f.problem(); !strings.Contains(p, "misbehaving") {
		t.Errorf("problem %q", p)
	}
}

func TestSeeds_ThousandsOfRecordsAreBounded(t *testing.T) {
	dns := &names{hosts: map[string][]string{}, srv: map[string][]*net.SRV{}}
	for i := range 1000 {
		ip := fmt.Sprintf("10.1.%d.%d", i/250, i%250)
		dns.hosts["many.example"] = append(dns.hosts["many.example"], ip)
		dns.srv["many"] = append(dns.srv["many"], &net.SRV{Target: ip, Port: 7400})
	}
	discover := func(context.Context) ([]string, error) {
		return slices.Repeat([]string{"many.example:7402"}, 300), nil
	}
	f := newFinder(Options{Seeds: []string{"many.example:7401", "srv:many"}, Discover: discover, Resolver: dns})
	tried := f.find(t)
	if len(tried) == 0 || len(tried) > 2*maxPerName+maxFound {
		t.Errorf("%d addresses tried", len(tried))
	}
	again := f.find(t)
	if slices.Equal(tried, again) {
		t.Error("the same ones each time: the others never have their turn")
	}
	if err := f.drain(); err != nil {
		t.Error(err)
	}
}

func TestSeeds_FileIsReadAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seeds")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dns := &names{hosts: map[string][]string{"a.example": {"10.0.0.4"}}}
	f := newFinder(Options{Seeds: []string{"file:" + path}, Resolver: dns})
	wantFound(t, f)
	if p := f.problem(); !strings.Contains(p, path) || !strings.Contains(p, "no such file") {
		t.Errorf("problem %q", p)
	}
	if f.contacted.Load() {
		t.Error("contacted, though the file was never read")
	}
	write("# servers\n10.0.0.2:7400, 10.0.0.3:7400 a.example:7400\r\n\n[2001:db8::1]:7400 # the new one\n")
	wantFound(t, f, "10.0.0.2:7400", "10.0.0.3:7400", "10.0.0.4:7400", "[2001:db8::1]:7400")
	if p := f.problem(); p != "" || !f.contacted.Load() {
		t.Errorf("problem %q", p)
	}
	write("10.0.0.5:7400\n\x00\xff garbage\n10.0.0.6:0\n")
	wantFound(t, f, "10.0.0.5:7400")
	if p := f.problem(); !strings.Contains(p, "line 2") || !strings.Contains(p, "2 more") {
		t.Errorf("problem %q", p)
	}
	write("") // emptied: nobody any more
	wantFound(t, f)
	if p := f.problem(); p != "" {
		t.Errorf("problem %q", p)
	}
	write(strings.Repeat("10.0.0.5:7400\n", maxSeedFile))
	wantFound(t, f)
	if p := f.problem(); !strings.Contains(p, "right file") {
		t.Errorf("problem %q", p)
	}
}

func TestSeeds_CallbackIsAskedUntilHealed(t *testing.T) {
	calls := 0
	f := newFinder(Options{Discover: func(context.Context) ([]string, error) {
		calls++
		return []string{"10.0.0.2:7400", "nonsense", "10.0.0.3:99999", strings.Repeat("x", 1<<20), simAddr(0)}, nil
	}}, Server{"b", "10.0.0.2:7400", true})
	wantFound(t, f, "10.0.0.2:7400")
	if p := f.problem(); !strings.Contains(p, "Discover") || !strings.Contains(p, "nonsense") || len(p) > 2*maxWords {
		t.Errorf("problem %q", p)
	}
	f.urgent = false // admitted, but b is not in sight
	f.find(t)
	f.dir.put(entry{Member: Member{NodeID: "b", Incarnation: "1"}, gossipAddr: "10.0.0.2:7400"})
	if calls != 2 {
		t.Errorf("%d calls while b was missing, want 2", calls)
	}
	f.find(t)
	if calls != 2 {
		t.Error("asked though everybody is in sight")
	}
	f.dir.drop("b/1")
	wantFound(t, f, "10.0.0.2:7400")
	if calls != 3 {
		t.Errorf("%d calls after b was lost, want 3", calls)
	}
}

func TestSeeds_CallbackThatMisbehavesHarmsNothing(t *testing.T) {
	for what, c := range map[string]struct {
		discover func(context.Context) ([]string, error)
		want     string
	}{
		"fails":  {func(context.Context) ([]string, error) { return nil, errors.New("no api") }, "Discover: no api"},
		"panics": {func(context.Context) ([]string, error) { panic("oops") }, "Discover: panicked: oops"},
		"exits":  {func(context.Context) ([]string, error) { runtime.Goexit(); return nil, nil }, "Discover: gave no answer"},
		"long words": {func(context.Context) ([]string, error) {
			return nil, errors.New(strings.Repeat("\xff", 1<<20))
		}, "Discover: ?"},
	} {
		t.Run(what, func(t *testing.T) {
			f := newFinder(Options{Seeds: []string{"10.0.0.2:7400"}, Discover: c.discover})
			for range 3 {
				wantFound(t, f, "10.0.0.2:7400")
			}
			if p := f.problem(); !strings.Contains(p, c.want) || len(p) > 2*maxWords {
				t.Errorf("problem %q, want %q", p, c.want)
			}
			if f.contacted.Load() {
				t.Error("contacted, though nothing was learned from the callback")
			}
		})
	}
}

func TestSeeds_CallbackThatHangsIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		ended := make(chan struct{})
		f := newFinder(Options{Seeds: []string{"10.0.0.2:7400"}, Discover: func(ctx context.Context) ([]string, error) {
			calls.Add(1)
			<-ended // the context says nothing to it
			return []string{"10.0.0.3:7400"}, nil
		}})
		begin := time.Now()
		for range 3 {
			wantFound(t, f, "10.0.0.2:7400")
		}
		if took := time.Since(begin); took > askPatience || calls.Load() != 1 {
			t.Errorf("three passes took %v, %d calls", took, calls.Load())
		}
		pass(time.Minute)
		if p := f.problem(); !strings.Contains(p, "Discover has not answered for 1m2s") {
			t.Errorf("problem %q", p)
		}
		begin = time.Now()
		if err := f.drain(); err == nil || !strings.Contains(err.Error(), "Discover does not return") || time.Since(begin) != drainTimeout {
			t.Errorf("drain: %v after %v", err, time.Since(begin))
		}
		close(ended)
		synctest.Wait()
		wantFound(t, f, "10.0.0.2:7400", "10.0.0.3:7400")
		if err := f.drain(); err != nil {
			t.Error(err)
		}
	})
}

func TestSeeds_CallbackHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFinder(Options{Discover: func(ctx context.Context) ([]string, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}})
		f.find(t)
		pass(askTimeout)
		if p := f.problem(); !strings.Contains(p, "deadline") {
			t.Errorf("problem %q", p)
		}
	})
}

func TestSeedWay_NumbersArePorts(t *testing.T) {
	for seed, want := range map[string][2]string{
		"srv:x": {"srv", "x"}, "file:x": {"file", "x"}, "srv:7400": {"", "srv:7400"}, "file:1": {"", "file:1"},
		"file:/a:b": {"file", "/a:b"}, "host:1": {"", "host:1"}, "srv:": {"srv", ""}, "[::1]:5": {"", "[::1]:5"},
	} {
		way, rest := SeedWay(seed)
		if got := [2]string{way, rest}; got != want {
			t.Errorf("%s: %q, want %q", seed, got, want)
		}
	}
}

func FuzzParseSeedFile(f *testing.F) {
	f.Add("10.0.0.1:7400 # x\nhost:1,[::1]:2")
	f.Add("\x00\xff:1")
	f.Fuzz(func(t *testing.T, text string) {
		names, _ := parseSeedFile(text)
		for _, name := range names {
			if err := validAddr(name); err != nil {
				t.Error(err)
			}
		}
	})
}
