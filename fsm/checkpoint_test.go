package fsm_test

import (
	"context"
	"errors"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/fsm"
)

func taken(t *testing.T, r *fsm.Replica) fsm.StateHash {
	t.Helper()
	select {
	case c := <-r.Checkpoints():
		defer c.Release()
		h, err := c.Hash(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return h
	default:
		t.Fatal("no checkpoint")
		return fsm.StateHash{}
	}
}

// What is hashed is the state at the checkpoint, and a checkpoint changes nothing but
// the index.
func TestReplica_CheckpointIsOfItsIndex(t *testing.T) {
	log := sampleLog(t)
	next := log[len(log)-1].Index + 1
	one, other := fsm.NewReplica(), fsm.NewReplica()
	for _, r := range []*fsm.Replica{one, other} {
		replay(t, r, log)
		replay(t, r, []*raft.Log{logOf(t, next, entryCheckpoint())})
	}
	_, want := one.Hash()
	replay(t, other, []*raft.Log{logOf(t, next+1, entryDown("a", gen(5)))})
	got := taken(t, other)
	if got.Sum != want || got.Index != next || got.Form != fsm.HashForm {
		t.Errorf("%+v, want index %d and sum %s", got, next, want)
	}
	if got != taken(t, one) {
		t.Error("equal states hash differently")
	}
	if _, now := other.Hash(); now == want {
		t.Error("the entry after the checkpoint changed nothing")
	}
	replay(t, one, []*raft.Log{logOf(t, next+1, entryDown("a", gen(5)))})
	replay(t, one, []*raft.Log{logOf(t, next+2, entryCheckpoint())})
	if got := taken(t, one); got.Sum == want || got.Index != next+2 {
		t.Errorf("%+v after another entry", got)
	}
}

// A log may hold thousands of them when a server starts.
func TestReplica_CheckpointsThatNobodyTakesAreNotHashed(t *testing.T) {
	r := fsm.NewReplica()
	log := sampleLog(t)
	replay(t, r, log)
	next := log[len(log)-1].Index + 1
	for i := range uint64(3) {
		replay(t, r, []*raft.Log{logOf(t, next+i, entryCheckpoint())})
	}
	if got := taken(t, r).Index; got != next {
		t.Errorf("the one of index %d is there, want the first", got)
	}
	if len(r.Checkpoints()) != 0 {
		t.Error("a second one is there")
	}
}

func TestCheckpoint_HashEndsWithItsContext(t *testing.T) {
	r := fsm.NewReplica()
	log := sampleLog(t)
	replay(t, r, log)
	replay(t, r, []*raft.Log{logOf(t, log[len(log)-1].Index+1, entryCheckpoint())})
	c := <-r.Checkpoints()
	defer c.Release()
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if _, err := c.Hash(ctx); !errors.Is(err, gone) {
		t.Errorf("error %v", err)
	}
}
