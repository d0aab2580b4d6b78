package transport

import (
	"errors"
	"testing"
	"time"
)

// In both directions nothing of Raft goes through, and calls do.
func TestPort_SilenceRaftCutsRaftAndNothingElse(t *testing.T) {
	modes(t, func(t *testing.T, secret []byte) {
		a, _ := serve(t, Options{NodeID: "a", Secret: secret})
		b, _ := serve(t, Options{NodeID: "b", Secret: secret})
		out, in, err := pair(t, a, b, "b")
		if err != nil {
			t.Fatal(err)
		}
		back, taken, err := pair(t, b, a, "a")
		if err != nil {
			t.Fatal(err)
		}
		b.SilenceRaft(true)
		for what, c := range map[string]interface{ Read([]byte) (int, error) }{"dialled to it": out, "accepted by it": in, "dialled by it": back, "accepted from it": taken} {
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Errorf("%s: still open", what)
			}
		}
		if _, err := a.Raft().Dial(RaftAddress("b", b.Addr()), soon); err == nil {
			t.Error("dialled what is silent")
		}
		if err := a.ProbeRaft(within(t), RaftAddress("b", b.Addr())); err == nil {
			t.Error("a probe says that it is there")
		}
		began := time.Now()
		if _, err := b.Raft().Dial(RaftAddress("a", a.Addr()), soon); !errors.Is(err, errSilent) || time.Since(began) > soon/2 {
			t.Errorf("dialled out of the silence: %v", err)
		}
		if err := b.ProbeRaft(within(t), RaftAddress("a", a.Addr())); !errors.Is(err, errSilent) {
			t.Errorf("probed out of the silence: %v", err)
		}
		if _, err := ping(t, a, b.Addr()); err != nil {
			t.Errorf("a call: %v", err)
		}
		b.SilenceRaft(false)
		for _, p := range []struct {
			from, to *Port
			id       string
		}{{a, b, "b"}, {b, a, "a"}} {
			if _, _, err := pair(t, p.from, p.to, p.id); err != nil {
				t.Errorf("after the silence to %s: %v", p.id, err)
			}
		}
	})
}
