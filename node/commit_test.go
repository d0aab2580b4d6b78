package node

import (
	"context"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/cluster"
	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// A write in flight over a crash of all voters took effect before a server's new
// life began, and was sent again after it. The answer named the later index, at
// which the member was already gone with the old life.
func TestDesk_RepeatedBatchAnswersWithTheIndexOfItsEffect(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := Start(ctx, Config{SID: "c1", SType: "connector"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = n.Close() }()
	if err := n.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	epoch := n.Self().Epoch
	batch := fsm.AppendBatch(nil, "c1", epoch, 1, fsm.AppendGroup(nil, 1, fsm.Op{
		Kind: fsmpb.OpKind_OP_ADD, Name: "w", UID: "alice", SID: "c1", Epoch: epoch,
	}))
	write := func() *peerpb.WriteResponse {
		done := make(chan *peerpb.WriteResponse, 1)
		n.desk.submit(slip{ctx: ctx, number: 1, data: batch, answer: func(resp *peerpb.WriteResponse) { done <- resp }})
		return <-done
	}
	first := write()
	if first.GetDisposition() != peerpb.Disposition_DISPOSITION_APPLIED || first.GetIndex() == 0 {
		t.Fatalf("first: %v", first)
	}
	n.committer.unregister(ctx, &peerpb.UnregisterRequest{Sid: "nobody", Epoch: 1}) // any entry between
	again := write()
	if again.GetIndex() != first.GetIndex() || fsm.BatchOutcome(again.GetBatch()) != fsm.BatchRepeated {
		t.Errorf("sent again: %v, want the index of %v", again, first)
	}
}

// A leader whose state has no cluster id yet would give lives epochs of no
// generation, and 0 as the index that it has applied.
func TestPing_LeadsOnlyOnceTheClusterIsFounded(t *testing.T) {
	n, err := Start(t.Context(), Config{SID: "c1", SType: "connector", Join: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = n.Close() }()
	if err := n.consensus.Bootstrap(t.Context(), []cluster.Server{{NodeID: n.nodeID, Addr: n.port.Addr(), Voter: true}}); err != nil {
		t.Fatal(err)
	}
	leads, changed := n.consensus.leadership()
	for !leads {
		<-changed
		leads, changed = n.consensus.leadership()
	}
	pong, err := (&peerServer{node: n}).Ping(t.Context(), &peerpb.PingRequest{})
	if err != nil || pong.GetLeader() {
		t.Errorf("before the founding: %v, %v", pong, err)
	}
	if err := n.committer.found(t.Context(), "7d4ac5d2-bb50-4ee4-9a4a-3f6a43f4c0ff", nil); err != nil {
		t.Fatal(err)
	}
	pong, err = (&peerServer{node: n}).Ping(t.Context(), &peerpb.PingRequest{})
	if err != nil || !pong.GetLeader() || pong.GetApplied() == 0 {
		t.Errorf("after the founding: %v, %v", pong, err)
	}
}
