package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
)

// inBubble runs a test whose time costs nothing. ctx bounds all its waits.
func inBubble(t *testing.T, test func(t *testing.T, ctx context.Context)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		test(t, ctx)
	})
}

// within bounds a test in real time, on a machine with one busy core.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// server is a Config that needs no more.
func server(sid, stype string) node.Config { return node.Config{SID: sid, SType: stype} }

// three founders, all connectors.
func three() []node.Config {
	return []node.Config{server("c1", "connector"), server("c2", "connector"), server("c3", "connector")}
}

// four: the founders and a server without a vote.
func four() []node.Config {
	return append(three(), node.Config{SID: "c4", SType: "connector", NonVoter: true})
}

// readyCluster waits for all servers, for every replica to know all of them, and for
// the newest feature level.
func readyCluster(t *testing.T, ctx context.Context, cfgs ...node.Config) *nodetest.Fleet {
	t.Helper()
	f := nodetest.Cluster(t, cfgs...)
	f.WaitReady(ctx)
	f.Eventually(ctx, func() error {
		if got := f.Leader(ctx).Level(); got < fsm.Version {
			return fmt.Errorf("level %d", got)
		}
		return nil
	})
	f.WaitEqual(ctx)
	return f
}

// settle lets everything end that is under way in a bubble: whoever asks for a Status
// has the age of the replica measured behind his back, for which an entry is written.
func settle(ctx context.Context) { pause(ctx, time.Second) }

// paced is the pause between two writes of a load that goes on for minutes. Each costs ten
// times as much under the race detector, which sees the same in a part of them.
func paced(d time.Duration) time.Duration {
	if raceDetector {
		return 5 * d
	}
	return d
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// follower is a running node that does not lead and is none of the others named.
func follower(t *testing.T, ctx context.Context, f *nodetest.Fleet, but ...string) *node.Node {
	t.Helper()
	leader := f.Leader(ctx)
	for _, n := range f.Nodes() {
		if n != leader && !slices.Contains(but, n.Self().SID) && n.Status().Role == "voter" {
			return n
		}
	}
	t.Fatal("no follower")
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// members is a channel as n shows it: sorted uid@sid.
func members(t *testing.T, ctx context.Context, n *node.Node, name string, o ...node.ReadOption) []string {
	t.Helper()
	seq, err := n.Members(ctx, name, o...)
	must(t, err)
	list := []string{}
	for m := range seq {
		list = append(list, m.UID+"@"+m.SID)
	}
	slices.Sort(list)
	return list
}

// everywhere waits until every running server shows want in the channel.
func everywhere(t *testing.T, ctx context.Context, f *nodetest.Fleet, name string, want ...string) {
	t.Helper()
	slices.Sort(want)
	f.Eventually(ctx, func() error {
		for _, n := range f.Nodes() {
			if got := members(t, ctx, n, name, node.Stale()); !slices.Equal(got, want) {
				return fmt.Errorf("%s shows %v in %s, want %v", n.Self().SID, got, name, want)
			}
		}
		return nil
	})
}

// class returns the one class that a write's error matches, and fails the test if
// it matches none or several.
func class(t *testing.T, err error) error {
	t.Helper()
	var found []error
	for _, c := range []error{node.ErrRejected, node.ErrNotSent, node.ErrOutcomeUnknown} {
		if errors.Is(err, c) {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		t.Errorf("%v matches %d classes (%v), want 1", err, len(found), found)
		return nil
	}
	return found[0]
}

// wantError checks that err is of exactly one class, and all that is named.
func wantError(t *testing.T, err error, want ...error) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %v", want)
		return
	}
	class(t, err)
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Errorf("error %q does not match %q", err, w)
		}
	}
}
