package cluster

import (
	"bytes"
	"compress/lzw"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

// pair is two servers over real sockets that see each other.
func pair(t *testing.T) (a, b *server) {
	t.Helper()
	w := newWorld(nil)
	open := func(sid string, expect int, seed string) *server {
		p, l, addr := realSockets(t)
		s := w.server(sid, sid, addr, expect)
		s.self.Incarnation = w.incarnation()
		var seeds []string
		if seed != "" {
			seeds = append(seeds, seed)
		}
		return s.open(t, Options{Self: s.self, Expect: expect, Seeds: seeds, Packets: p, Streams: l, Dial: realDial,
			Identity: s.disk, Consensus: s.raft, Peers: &fakePeers{w, addr}})
	}
	a = open("a", 1, "")
	b = open("b", 0, a.self.Addr)
	eventually(t, 30*time.Second, "join", func() string { return w.foundOnce([]*server{a, b}) })
	return a, b
}

func TestCluster_CloseLeavesNothingBehindWhileAProbeIsUnderWay(t *testing.T) {
	before := goleak.IgnoreCurrent()
	a, b := pair(t)
	// b vanishes without a word: a's next probe of it gets no answer.
	b.stop()
	probing := func() string {
		p := a.gossip.wire.probes
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.pending || time.Until(p.until) < time.Second {
			return "no probe under way"
		}
		return ""
	}
	eventually(t, 30*time.Second, "an unanswered probe", probing)
	begin := time.Now()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("Close took %v", took)
	}
	a.stop()
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

func TestCluster_CloseIsIdempotentAndLeaveAfterItAnError(t *testing.T) {
	a, b := pair(t)
	defer stopAll([]*server{a, b})
	done := make(chan error, 4)
	for range 4 {
		go func() { done <- a.Leave(t.Context()) }()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	eventually(t, 10*time.Second, "b hears the goodbye", func() string {
		if n := len(b.Members()); n != 1 {
			return fmt.Sprint(b.Members())
		}
		return ""
	})
	for range 4 {
		go func() { done <- a.Close() }()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if err := a.Leave(t.Context()); err == nil {
		t.Error("Leave after Close")
	}
	if reply := a.HandleJoin(t.Context(), JoinRequest{}); reply.Joined || reply.Reason == "" {
		t.Errorf("HandleJoin after Close: %+v", reply)
	}
}

func TestWire_GarbageHarmsNobody(t *testing.T) {
	a, b := pair(t)
	defer stopAll([]*server{a, b})
	udp, err := net.Dial("udp", a.self.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	label := append([]byte{244, byte(len(gossipLabel))}, gossipLabel...)
	random := rand.NewChaCha8([32]byte{1})
	junk := make([]byte, 1400)
	for i := range 500 {
		random.Read(junk)
		if i%2 == 0 { // as far as the label it looks right
			copy(junk, label)
		}
		udp.Write(junk[:1+i])
	}
	// A stream that says it is a compressed message, of nothing: without the seal
	// memberlist looks at the first byte of that.
	var nothing bytes.Buffer
	lzw.NewWriter(&nothing, lzw.LSB, 8).Close()
	compressed := append(bytes.Clone(label), 9, 0x82, 0xa4, 'A', 'l', 'g', 'o', 0, 0xa3, 'B', 'u', 'f', 0xa0|byte(nothing.Len()))
	compressed = append(compressed, nothing.Bytes()...)
	for _, b := range [][]byte{compressed, junk, label, label[:1], {}} {
		c, err := realDial(t.Context(), a.self.Addr)
		if err != nil {
			t.Fatal(err)
		}
		c.Write(b)
		c.(*net.TCPConn).CloseWrite()
		c.SetReadDeadline(time.Now().Add(4 * streamTimeout))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a stream of %d bytes was never closed", len(b))
		}
		c.Close()
	}
	if len(a.Members()) != 2 || len(b.Members()) != 2 {
		t.Errorf("members: %v, %v", a.Members(), b.Members())
	}
}

func TestWire_SilentClientsAreFewAndShort(t *testing.T) {
	a, b := pair(t)
	defer stopAll([]*server{a, b})
	inbound := func() int {
		w := a.gossip.wire
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.inbound
	}
	var silent []net.Conn
	ended := make(chan struct{}, 2*maxInboundStreams)
	for range 2 * maxInboundStreams {
		c, err := realDial(t.Context(), a.self.Addr)
		if err != nil {
			t.Fatal(err)
		}
		silent = append(silent, c)
		go func() {
			io.Copy(io.Discard, c)
			ended <- struct{}{}
		}()
		if n := inbound(); n > maxInboundStreams {
			t.Fatalf("%d streams are held", n)
		}
	}
	timeout := time.After(30 * time.Second)
	for range silent {
		select {
		case <-ended:
		case <-timeout:
			t.Fatal("a silent stream was not closed")
		}
		if n := inbound(); n > maxInboundStreams {
			t.Fatalf("%d streams are held", n)
		}
	}
	for _, c := range silent {
		c.Close()
	}
}

// failing is a listener and a packet socket whose every other call fails.
type failing struct {
	net.Listener
	calls int
}

func (f *failing) Accept() (net.Conn, error) {
	if f.calls++; f.calls%2 == 1 {
		return nil, fmt.Errorf("too many open files")
	}
	return f.Listener.Accept()
}

func TestWire_OutlivesErrorsOfItsSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(newSimNet())
		a := w.server("a", "a", simAddr(0), 1)
		a.self.Incarnation = w.incarnation()
		p, l, dial := w.sim.open(simAddr(0))
		a.open(t, Options{Self: a.self, Expect: 1, Packets: p, Streams: &failing{Listener: l}, Dial: dial,
			Identity: a.disk, Consensus: a.raft, Peers: &fakePeers{w, simAddr(0)}})
		b := w.server("b", "b", simAddr(1), 0, simAddr(0)).start(t)
		defer stopAll([]*server{a, b})
		eventually(t, time.Minute, "join", func() string { return w.foundOnce([]*server{a, b}) })
	})
}

func TestGossip_AnotherKeyIsAnotherWorld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(newSimNet())
		var servers []*server
		for i, key := range [][]byte{bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32), nil} {
			s := w.server(fmt.Sprint("s", i), nodeID(i), simAddr(i), 3)
			s.self.Incarnation = w.incarnation()
			p, l, dial := w.sim.open(simAddr(i))
			servers = append(servers, s.open(t, Options{Self: s.self, Expect: 3, Seeds: []string{simAddr(0)}, GossipKey: key,
				Packets: p, Streams: l, Dial: dial, Identity: s.disk, Consensus: s.raft, Peers: &fakePeers{w, simAddr(i)}}))
		}
		defer stopAll(servers)
		pass(time.Minute)
		for _, s := range servers {
			if len(s.Members()) != 1 || !strings.Contains(s.Problem(), "1 of 3 founders") {
				t.Errorf("%v, %q", s.Members(), s.Problem())
			}
		}
	})
}

func TestCluster_ChangedIsClosedAndMembersAreCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(newSimNet())
		a := w.server("a", "a", simAddr(0), 1).start(t)
		defer a.stop()
		eventually(t, time.Minute, "founding", func() string { return w.foundOnce([]*server{a}) })
		changed := a.Changed()
		b := w.server("b", "b", simAddr(1), 0, simAddr(0)).start(t)
		defer b.stop()
		select {
		case <-changed:
		case <-time.After(time.Minute):
			t.Error("no change was signalled")
		}
		a.Members()[0].SID = "scribble"
		if a.Members()[0].SID != "a" {
			t.Error("Members hands out its own memory")
		}
		// A restart under the same node id is seen as one process, the new one.
		b.stop()
		b.start(t)
		eventually(t, 10*time.Second, "the new incarnation", func() string {
			for _, m := range a.Members() {
				if m.NodeID == "b" && m.Incarnation == b.self.Incarnation && len(a.Members()) == 2 {
					return ""
				}
			}
			return fmt.Sprint(a.Members())
		})
	})
}

func TestGossipLog_IsTamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		g := newGossipLog(slog.New(slog.NewTextHandler(&out, nil)))
		for range 100 {
			g.Printf("[ERR] memberlist: Failed to send UDP ping: %s", "x")
			g.Printf("[DEBUG] memberlist: Stream connection")
		}
		if n := strings.Count(out.String(), "\n"); n != gossipLogBurst || !strings.Contains(out.String(), "level=WARN msg=\"gossip: Failed") {
			t.Errorf("%d lines: %s", n, out.String())
		}
		out.Reset()
		<-time.After(gossipLogWindow)
		g.Printf("[WARN] memberlist: again")
		if want := "lines_left_out_before=95"; !strings.Contains(out.String(), want) {
			t.Errorf("%q does not say %s", out.String(), want)
		}
	})
}

func TestGossipAddr_OfAName(t *testing.T) {
	bound := net.UDPAddrFromAddrPort(mustAddrPort("10.0.0.4:7400"))
	for addr, want := range map[string]string{"10.0.0.1:7": "10.0.0.1:7", "[::ffff:10.0.0.1]:7": "10.0.0.1:7", "no.such.host.invalid:9": "10.0.0.4:9"} {
		got, err := gossipAddr(addr, bound, nil)
		if err != nil || got.String() != want {
			t.Errorf("%s: %v, %v, want %s", addr, got, err, want)
		}
	}
	if _, err := gossipAddr("no.such.host.invalid:9", &net.UDPAddr{IP: net.IPv4zero, Port: 9}, nil); err == nil {
		t.Error("a wildcard was taken for an address")
	}
}
