package node

import (
	"context"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// A write in flight over a crash of all voters took effect before a server's new
// life began, and was sent again after it. The answer named the later index, at
// which the member was already gone with the old life.
func TestCommitter_RepeatedBatchAnswersWithTheIndexOfItsEffect(t *testing.T) {
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
	batch, err := proto.Marshal(&fsmpb.Batch{OriginSid: "c1", OriginEpoch: epoch, Number: 1, Groups: []*fsmpb.Group{{Ops: []*fsmpb.Op{{
		Kind: fsmpb.OpKind_OP_ADD, Name: "w", Uid: "alice", Sid: "c1", Epoch: epoch,
	}}}}})
	if err != nil {
		t.Fatal(err)
	}
	first := n.committer.write(ctx, batch)
	if first.GetDisposition() != peerpb.Disposition_DISPOSITION_APPLIED || first.GetIndex() == 0 {
		t.Fatalf("first: %v", first)
	}
	n.committer.unregister(ctx, &peerpb.UnregisterRequest{Sid: "nobody", Epoch: 1}) // any entry between
	again := n.committer.write(ctx, batch)
	if again.GetIndex() != first.GetIndex() || fsm.BatchOutcome(again.GetBatch()) != fsm.BatchRepeated {
		t.Errorf("sent again: %v, want the index of %v", again, first)
	}
}
