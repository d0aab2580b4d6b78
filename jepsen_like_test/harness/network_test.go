package harness

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/pofresh/globalchannel/jepsen_like_test/fault"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/switchnet"
)

func newTestCluster(t *testing.T, n *switchnet.Network) (*Cluster, *history.Recorder) {
	t.Helper()
	h := history.NewRecorder()
	c, err := NewCluster(shell(), Options{Dir: t.TempDir(), Servers: []Spec{{SID: "a"}, {SID: "b"}}, History: h, Network: n})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, h
}

// joins says whom a server would join.
func joins(s *Server) []string {
	args := s.Args()
	return strings.Split(args[slices.Index(args, "--join")+1], ",")
}

func TestServer_MovesInEveryListAndHangsUp(t *testing.T) {
	c, _ := newTestCluster(t, nil)
	a, b := c.Servers[0], c.Servers[1]
	from, still := a.Addr, b.Addr
	conn, err := grpc.NewClient("passthrough:"+from, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	a.conn = conn
	waited := make(chan error, 1)
	go func() { waited <- connected(bounded(t), conn) }()
	if err := a.Move(); err != nil {
		t.Fatal(err)
	}
	for _, s := range c.Servers {
		if got, want := joins(s), []string{a.Addr, still}; a.Addr == from || !slices.Equal(got, want) {
			t.Errorf("%s joins %v, want %v; before it was %s", s.SID, got, want, from)
		}
	}
	// Who waits for the old connection would wait for ever.
	select {
	case err := <-waited:
		if err == nil {
			t.Error("a connection to an address where nobody listens stands")
		}
	case <-time.After(10 * time.Second):
		t.Error("a client still waits for the address that was left")
	}
}

func TestCluster_NothingIsCutOnLoopback(t *testing.T) {
	c, h := newTestCluster(t, nil)
	for what, err := range map[string]error{
		"a cut": c.Cut("a", "b", fault.All), "weather": c.SetWeather("a", "b", fault.Weather{Loss: 1}), "healing": c.Heal(),
	} {
		if !errors.Is(err, errNoNetwork) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if events := h.Events(); len(events) > 0 {
		t.Errorf("noted, and not done: %v", events)
	}
}

// What is cut is noted, and each server has a machine of its own.
func TestCluster_NotesWhatIsCut(t *testing.T) {
	n, err := switchnet.New(1)
	if errors.Is(err, switchnet.ErrNotHere) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	c, h := newTestCluster(t, n)
	if a, b := c.Servers[0].Addr, c.Servers[1].Addr; a == b || !strings.HasSuffix(a, ":7400") || !strings.HasSuffix(b, ":7400") {
		t.Errorf("addresses %s and %s", a, b)
	}
	if err := errors.Join(c.Cut("a", "b", fault.Gossip), c.SetWeather("b", "a", fault.Weather{Loss: 1}), c.Heal()); err != nil {
		t.Fatal(err)
	}
	var via []string
	for _, e := range h.Events() {
		if e.F == history.Fault && e.Text != "" {
			via = append(via, e.Via)
		}
	}
	if want := []string{"a", "b", ""}; !slices.Equal(via, want) {
		t.Errorf("noted of %q, want %q", via, want)
	}
}
