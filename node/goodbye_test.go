package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// goodbye is what a session of alice on server a leaves behind.
func goodbye(session uint64) fsm.Op {
	return fsm.Op{Kind: fsmpb.OpKind_OP_LEAVE_ALL, UID: "alice", SID: "a", Session: session, Epoch: 1 << 48}
}

// Players who came and went while there was no leader shut all others out.
func TestOutbox_KeepsOneGoodbyeOfAPlayer(t *testing.T) {
	o := newOutbox("a", local{}, time.Hour, nil)
	for i := range 100_000 {
		o.keep(1, goodbye(uint64(i+1)))
	}
	goodbyes := o.queue.len()
	_, err := o.begin(1, fsm.Op{Kind: fsmpb.OpKind_OP_DESTROY, Name: "n"})
	if goodbyes != 1 || err != nil {
		t.Errorf("one player who reconnected while there was no leader: %d goodbyes of hers wait, %d bytes; others get %v", goodbyes, o.queue.bytes, err)
	}
}

// The newest of three connections was closed first, and the goodbye of the oldest
// one moved it behind what the one between had joined meanwhile.
func TestOutbox_GoodbyeOfAnOlderSessionDoesNotMoveThatOfANewerOne(t *testing.T) {
	o := newOutbox("a", local{}, time.Hour, nil)
	o.keep(1, goodbye(3))
	join := fsm.Op{Kind: fsmpb.OpKind_OP_ADD, Name: "world", UID: "alice", SID: "a", Session: 2, Epoch: 1 << 48}
	if _, err := o.begin(1, join); err != nil {
		t.Fatal(err)
	}
	o.keep(1, goodbye(1))
	var sessions []uint64 // 0: the join
	for _, c := range o.queue.take(maxBatchOps, maxBatchBytes) {
		sessions = append(sessions, c.session)
	}
	if want := []uint64{3, 0, 1}; !slices.Equal(sessions, want) {
		t.Errorf("goodbyes and the join in the order %v, want %v", sessions, want)
	}
}

// However a player's connections overlap, no more of her goodbyes wait than she had
// connections at the same time.
func TestOutbox_GoodbyesOfOverlappingSessionsStayFew(t *testing.T) {
	o := newOutbox("a", local{}, time.Hour, nil)
	for i := uint64(0); i < 10_000; i += 2 {
		for _, session := range []uint64{i + 2, i + 1} { // the newer one ends first
			o.keep(1, goodbye(session))
		}
	}
	if n := o.queue.len(); n != 2 {
		t.Errorf("%d goodbyes wait of a player who had two connections at a time", n)
	}
	if o.queue.take(maxBatchOps, maxBatchBytes); len(o.queue.goodbyes) != 0 {
		t.Errorf("%d players' goodbyes are remembered when all are taken", len(o.queue.goodbyes))
	}
}

// An older leader could not read a batch that held a player's goodbye, for which
// nobody waits: she would have stayed in her channels for ever.
func TestOutbox_GoodbyeOutlivesALeaderThatCannotReadIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		opened := 0
		o := newOutbox("a", scripted{opened: &opened, say: map[int]map[uint64]*peerpb.WriteResponse{
			1: {1: {Disposition: peerpb.Disposition_DISPOSITION_REFUSED}},
		}}, time.Minute, nil)
		var group sync.WaitGroup
		o.keep(1, goodbye(1))
		c, err := o.begin(1, destroys(1)...)
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() { live(ctx, o, 1) })
		if _, err := o.end(ctx, c); !errors.Is(err, ErrRejected) {
			t.Errorf("what the leader refused: %v", err)
		}
		bounded(ctx, time.Minute, func(ctx context.Context) { o.drain(ctx, ErrClosed) })
		o.mu.Lock()
		number, left := o.flight.number, o.queue.len()+len(o.flight.batches)
		o.mu.Unlock()
		if number != 2 || left != 0 {
			t.Errorf("%d batches were made, %d wait; want the refused one and one with the goodbye", number, left)
		}
		cancel()
		group.Wait()
	})
}

// As long as such a leader leads, each attempt costs an entry without operations: few
// of them, or its log would fill for nothing.
func TestOutbox_LeaderThatCannotReadAGoodbyeIsAskedRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		say := make(map[int]map[uint64]*peerpb.WriteResponse)
		for n := 1; n <= 1000; n++ {
			say[n] = map[uint64]*peerpb.WriteResponse{uint64(n): {Disposition: peerpb.Disposition_DISPOSITION_REFUSED}}
		}
		opened := 0
		o := newOutbox("a", scripted{opened: &opened, say: say}, time.Minute, nil)
		o.keep(1, goodbye(1))
		live(ctx, o, 1)
		if opened < 10 || opened > 10*int(time.Second/retryPauseMax)+10 {
			t.Errorf("%d attempts in 10 s", opened)
		}
	})
}
