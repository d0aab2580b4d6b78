package nodetest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
)

func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func three() []node.Config {
	return []node.Config{
		{SID: "connector-1", SType: "connector"},
		{SID: "connector-2", SType: "connector"},
		{SID: "chat-1", SType: "chat"},
	}
}

func TestCluster_WorksInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { addAndRead(t) })
}

func TestCluster_WorksInRealTime(t *testing.T) { addAndRead(t) }

func addAndRead(t *testing.T) {
	ctx := limit(t)
	f := nodetest.Cluster(t, three()...)
	f.WaitReady(ctx)
	if err := f.Node("chat-1").Add(ctx, "world", "alice", "connector-1"); err != nil {
		t.Fatal(err)
	}
	f.WaitEqual(ctx)
	for _, n := range f.Nodes() {
		got, err := n.MembersByChannelName(ctx, "connector", "world")
		if diff := cmp.Diff([]string{"alice"}, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", n.Self().SID, err, diff)
		}
	}
}

func TestFleet_RestartKeepsTheDiskAndStartsANewLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := limit(t)
		f := nodetest.Cluster(t, three()...)
		f.WaitReady(ctx)
		old := f.Node("connector-1").Self()
		f.Kill("connector-1")
		n := f.Restart("connector-1")
		f.WaitReady(ctx)
		if got := n.Self(); got.NodeID != old.NodeID || got.Incarnation == old.Incarnation || got.Epoch <= old.Epoch {
			t.Errorf("restarted as %+v, was %+v", got, old)
		}
	})
}

func TestFleet_DisklessServersRestartAsNewNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := limit(t)
		f := nodetest.Cluster(t, append(three(), node.Config{SID: "x", SType: "chat", NonVoter: true, DataDir: nodetest.Diskless})...)
		f.WaitReady(ctx)
		old := f.Node("x").Self()
		f.Kill("x")
		n := f.Restart("x")
		f.WaitReady(ctx)
		if got := n.Self(); got.NodeID == old.NodeID {
			t.Errorf("restarted as %+v, was %+v", got, old)
		}
	})
}

func TestFleet_IsolatedLeaderIsReplacedAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := limit(t)
		f := nodetest.Cluster(t, three()...)
		f.WaitReady(ctx)
		old := f.Leader(ctx).Self().SID
		f.Isolate(old)
		f.Eventually(ctx, func() error {
			if now := f.Leader(ctx).Self().SID; now == old {
				return fmt.Errorf("%s still leads", now)
			}
			return nil
		})
		f.Heal()
		f.Eventually(ctx, func() error {
			if s := f.Node(old).Status(); s.Leader == old || s.Leader == "" {
				return errors.New("it does not follow: " + s.Problem)
			}
			return nil
		})
	})
}

// A server that was away while the others forgot what it lacks gets their state as a
// snapshot.
func TestFleet_CompactForgetsTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := limit(t)
		f := nodetest.Cluster(t, three()...)
		f.WaitReady(ctx)
		lagging := f.Leader(ctx).Self().SID
		f.Kill(lagging)
		f.Leader(ctx)
		writer := f.Nodes()[0]
		for i := range 3 {
			if err := writer.Add(ctx, "world", fmt.Sprint(i), writer.Self().SID); err != nil {
				t.Fatal(err)
			}
			for _, n := range f.Nodes() {
				f.Compact(n.Self().SID)
			}
			<-time.After(time.Second)
		}
		f.Restart(lagging)
		f.WaitReady(ctx)
		f.WaitEqual(ctx)
		if got, err := f.Node(lagging).MembersBySID(ctx, "world", writer.Self().SID); err != nil || len(got) != 3 {
			t.Errorf("it has %v, %v", got, err)
		}
	})
}
