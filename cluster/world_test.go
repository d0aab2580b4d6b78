package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func mustAddrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// disk is an Identity that can be told to fail, with or without having written.
type disk struct {
	mu     sync.Mutex // guards what follows
	record Record
	fail   func() (written bool, err error)
}

func (d *disk) Load() Record {
	d.mu.Lock()
	defer d.mu.Unlock()
	return cloneRecord(d.record)
}

func (d *disk) Save(r Record) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		if written, err := d.fail(); err != nil {
			if written {
				d.record = cloneRecord(r)
			}
			return err
		}
	}
	d.record = cloneRecord(r)
	return nil
}

// world stands in for Raft and RPC: groups are bootstrapped clusters, whose
// configuration every reachable server of theirs sees at once.
type world struct {
	sim *simNet // nil: real loopback sockets

	mu      sync.Mutex // guards what follows
	groups  map[string]*raftGroup
	servers map[string]*server // running, by address
	noRPC   func(from, to string) error
	bad     []string // what a test must report
	starts  int
}

type raftGroup struct {
	servers []Server
	leader  string // node id
	last    uint64
}

// server is one process and what survives it.
type server struct {
	*Cluster
	world   *world
	self    Member
	disk    *disk
	raft    *fakeRaft
	expect  int
	seeds   []string
	stopped bool

	discover func(context.Context) ([]string, error)
}

func newWorld(sim *simNet) *world {
	return &world{sim: sim, groups: map[string]*raftGroup{}, servers: map[string]*server{}}
}

func (w *world) server(sid, nodeID, addr string, expect int, seeds ...string) *server {
	s := &server{world: w, disk: &disk{}, expect: expect, seeds: seeds,
		self: Member{NodeID: nodeID, SID: sid, Addr: addr}}
	s.raft = &fakeRaft{world: w, nodeID: nodeID}
	return s
}

func (w *world) incarnation() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.starts++
	return fmt.Sprintf("start-%d", w.starts)
}

// start opens the server; a stopped one starts again with its disk and log.
func (s *server) start(t testing.TB) *server {
	t.Helper()
	s.self.Incarnation = s.world.incarnation()
	o := Options{Self: s.self, Seeds: s.seeds, Discover: s.discover, Expect: s.expect, Identity: s.disk, Consensus: s.raft, Peers: &fakePeers{s.world, s.self.Addr}}
	if s.world.sim != nil {
		o.Packets, o.Streams, o.Dial = s.world.sim.open(s.self.Addr)
	}
	return s.open(t, o)
}

func (s *server) open(t testing.TB, o Options) *server {
	t.Helper()
	o.State, o.Answer = noLives{}, s.answer
	o.Timers = func() Timers { return Timers{ReapAfter: 10 * time.Second, ForgetAfter: 10 * time.Minute} }
	c, err := Open(o)
	if err != nil {
		t.Fatalf("open %s: %v", s.self.SID, err)
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	s.Cluster, s.stopped = c, false
	s.world.servers[s.self.Addr] = s
	return s
}

func (s *server) stop() {
	s.world.mu.Lock()
	if s.world.servers[s.self.Addr] == s {
		delete(s.world.servers, s.self.Addr)
	}
	s.stopped = true
	c := s.Cluster
	s.world.mu.Unlock()
	if c != nil {
		c.Close()
	}
}

// stopAll stops at once: one after the other each would wait for probes of those before.
func stopAll(servers []*server) {
	var group sync.WaitGroup
	for _, s := range servers {
		group.Go(s.stop)
	}
	group.Wait()
}

func (w *world) groupOfLocked(nodeID string) *raftGroup {
	for _, g := range w.groups {
		if slices.ContainsFunc(g.servers, func(s Server) bool { return s.NodeID == nodeID }) {
			return g
		}
	}
	return nil
}

func (w *world) reachable(from, to string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.noRPC != nil {
		return w.noRPC(from, to)
	}
	return nil
}

func (w *world) setNoRPC(f func(from, to string) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noRPC = f
}

type fakeRaft struct {
	world  *world
	nodeID string
}

func (f *fakeRaft) Bootstrap(_ context.Context, servers []Server) error {
	var ids []string
	for _, s := range servers {
		ids = append(ids, s.NodeID+"@"+s.Addr)
	}
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	key := strings.Join(ids, ",")
	if g := f.world.groupOfLocked(f.nodeID); g != nil {
		if f.world.groups[key] != g {
			f.world.bad = append(f.world.bad, f.nodeID+" bootstrapped a second cluster: "+key)
		}
		return errors.New("bootstrap only works on new clusters")
	}
	f.world.groups[key] = &raftGroup{servers: slices.Clone(servers), leader: f.nodeID, last: 1}
	return nil
}

func (f *fakeRaft) Configuration() ([]Server, error) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	if g := f.world.groupOfLocked(f.nodeID); g != nil {
		return slices.Clone(g.servers), nil
	}
	return nil, nil
}

// change makes a change that was decided on these servers.
func (f *fakeRaft) change(ctx context.Context, on []Server, what func(g *raftGroup)) error {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	g := f.world.groupOfLocked(f.nodeID)
	if g == nil || g.leader != f.nodeID {
		return errors.New("not the leader")
	}
	if !slices.Equal(on, g.servers) {
		return ErrConfigurationChanged
	}
	what(g)
	g.last++
	return ctx.Err()
}

func (f *fakeRaft) set(ctx context.Context, s Server, on []Server) error {
	return f.change(ctx, on, func(g *raftGroup) {
		i := slices.IndexFunc(g.servers, func(x Server) bool { return x.NodeID == s.NodeID })
		if i < 0 {
			g.servers = append(g.servers, s)
			return
		}
		s.Voter = s.Voter || g.servers[i].Voter
		g.servers[i] = s
	})
}

func (f *fakeRaft) AddNonvoter(ctx context.Context, s Server, on []Server) error {
	return f.set(ctx, s, on)
}

func (f *fakeRaft) AddVoter(ctx context.Context, s Server, on []Server) error {
	s.Voter = true
	return f.set(ctx, s, on)
}

func (f *fakeRaft) Demote(ctx context.Context, nodeID string, on []Server) error {
	return f.change(ctx, on, func(g *raftGroup) {
		for i, s := range g.servers {
			g.servers[i].Voter = s.Voter && s.NodeID != nodeID
		}
	})
}

// HandOver makes the next voter the leader.
func (f *fakeRaft) HandOver(ctx context.Context) error {
	on, _ := f.Configuration()
	return f.change(ctx, on, func(g *raftGroup) {
		for _, s := range g.servers {
			if s.Voter && s.NodeID != g.leader {
				g.leader = s.NodeID
				return
			}
		}
	})
}

// Contact is now if the server runs and can be reached.
func (f *fakeRaft) Contact(nodeID string) time.Time {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	from := ""
	for _, s := range f.world.servers {
		if s.self.NodeID == f.nodeID {
			from = s.self.Addr
		}
	}
	for addr, s := range f.world.servers {
		if s.self.NodeID == nodeID && (f.world.noRPC == nil || f.world.noRPC(from, addr) == nil) {
			return time.Now()
		}
	}
	return time.Time{}
}

func (f *fakeRaft) Remove(ctx context.Context, nodeID string, on []Server) error {
	return f.change(ctx, on, func(g *raftGroup) {
		g.servers = slices.DeleteFunc(g.servers, func(x Server) bool { return x.NodeID == nodeID })
	})
}

func (f *fakeRaft) Leader() (string, string) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	g := f.world.groupOfLocked(f.nodeID)
	if g == nil {
		return "", ""
	}
	for _, s := range g.servers {
		if s.NodeID == g.leader {
			return s.NodeID, s.Addr
		}
	}
	return "", ""
}

func (f *fakeRaft) LastIndex() uint64 {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	if g := f.world.groupOfLocked(f.nodeID); g != nil {
		return g.last
	}
	return 0
}

// fakePeers calls the other servers of the world directly.
type fakePeers struct {
	world *world
	from  string
}

func (p *fakePeers) to(addr string) (*server, error) {
	if err := p.world.reachable(p.from, addr); err != nil {
		return nil, err
	}
	p.world.mu.Lock()
	defer p.world.mu.Unlock()
	if s := p.world.servers[addr]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("nobody answers at %s", addr)
}

func (p *fakePeers) Promise(ctx context.Context, addr string, proposal Proposal, release bool) error {
	s, err := p.to(addr)
	if err != nil {
		return err
	}
	return s.HandlePromise(ctx, proposal, release)
}

func (p *fakePeers) Join(ctx context.Context, addr string, r JoinRequest) (JoinReply, error) {
	s, err := p.to(addr)
	if err != nil {
		return JoinReply{}, err
	}
	return s.HandleJoin(ctx, r), nil
}

func (p *fakePeers) Withdraw(ctx context.Context, addr string, r WithdrawRequest) (WithdrawReply, error) {
	s, err := p.to(addr)
	if err != nil {
		return WithdrawReply{}, err
	}
	return s.HandleWithdraw(ctx, r), nil
}

func (p *fakePeers) Progress(ctx context.Context, addr string) (Progress, error) {
	s, err := p.to(addr)
	if err != nil {
		return Progress{}, err
	}
	return Progress{NodeID: s.self.NodeID, LastIndex: s.raft.LastIndex()}, ctx.Err()
}

// foundOnce is "" when all servers are admitted to one and the same cluster.
func (w *world) foundOnce(servers []*server) string {
	w.mu.Lock()
	groups, bad := len(w.groups), slices.Clone(w.bad)
	w.mu.Unlock()
	if len(bad) > 0 || groups > 1 {
		return fmt.Sprintf("%d clusters, %v", groups, bad)
	}
	ids := map[string]bool{}
	for _, s := range servers {
		if !s.isAdmitted() {
			return s.self.SID + " is not admitted: " + s.Problem()
		}
		ids[s.identity.current().ClusterID] = true
	}
	if len(ids) != 1 || ids[""] || groups != 1 {
		return fmt.Sprintf("cluster ids %v in %d clusters", ids, groups)
	}
	return ""
}

// Ping reaches processes that know of no lives.
func (p *fakePeers) Ping(ctx context.Context, addr string, lives []Life) (Answer, error) {
	s, err := p.to(addr)
	if err != nil {
		return Answer{}, err
	}
	return s.answer(lives), ctx.Err()
}

func (s *server) answer(lives []Life) Answer {
	return Answer{
		NodeID: s.self.NodeID, SID: s.self.SID, Incarnation: s.self.Incarnation, ClusterID: s.identity.current().ClusterID,
		Alive: make([]bool, len(lives)), LastIndex: s.raft.LastIndex(), MayLead: true, Durable: true,
	}
}

// noLives is the state of a cluster before anybody has registered.
type noLives struct{}

func (noLives) Lives() []Life                            { return nil }
func (noLives) CatchUp(context.Context) error            { return nil }
func (noLives) End(context.Context, Life) error          { return errors.ErrUnsupported }
func (noLives) Forget(context.Context, uint64) error     { return errors.ErrUnsupported }
func (noLives) Level() uint32                            { return firstLevel }
func (noLives) RaiseLevel(context.Context, uint32) error { return errors.ErrUnsupported }
