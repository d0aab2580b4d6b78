package fsm_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
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

// What is hashed is the state at the checkpoint, whatever was applied since.
func TestReplica_CheckpointIsOfItsIndex(t *testing.T) {
	log := sampleLog(t)
	next := log[len(log)-1].Index + 1
	log = append(log, logOf(t, next, entryCheckpoint()))
	one, other := fsm.NewReplica(), fsm.NewReplica()
	replay(t, one, log)
	replay(t, other, log)
	down := []*raft.Log{logOf(t, next+1, entryDown("a", gen(5)))}
	replay(t, other, down)
	got, late := taken(t, one), taken(t, other)
	if _, sum := one.Hash(); got != late || got.Sum != sum || got.Index != next || got.Form != fsm.HashForm {
		t.Errorf("%+v, and %+v after another entry; want index %d and sum %s", got, late, next, sum)
	}
	replay(t, other, []*raft.Log{logOf(t, next+2, entryCheckpoint())})
	if late := taken(t, other); late.Sum == got.Sum || late.Index != next+2 {
		t.Errorf("%+v after another entry", late)
	}
}

// A log may hold thousands of them when a server starts.
func TestReplica_CheckpointsThatNobodyTakesAreLeftOut(t *testing.T) {
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

// A snapshot that is being written is not given up for a checkpoint, but a checkpoint
// is for a snapshot.
func TestReplica_SnapshotsGoBeforeCheckpoints(t *testing.T) {
	r := fsm.NewReplica()
	log := sampleLog(t)
	replay(t, r, log)
	next := log[len(log)-1].Index + 1
	snapshot, err := r.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	replay(t, r, []*raft.Log{logOf(t, next, entryCheckpoint())})
	if len(r.Checkpoints()) != 0 {
		t.Error("a checkpoint while a snapshot is taken")
	}
	if err := snapshot.Persist(new(sink)); err != nil {
		t.Errorf("persist: %v", err)
	}
	snapshot.Release()
	replay(t, r, []*raft.Log{logOf(t, next+1, entryCheckpoint())})
	c := <-r.Checkpoints()
	defer c.Release()
	persisted(t, r)
	if h, err := c.Hash(t.Context()); err == nil {
		t.Errorf("%+v though a snapshot was begun", h)
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

// What a snapshot holds up on one server, the reclaiming of what has gone, is no
// difference between the states.
func TestReplica_HashesAreEqualWhileOneTakesASnapshot(t *testing.T) {
	one, busy := fsm.NewReplica(), fsm.NewReplica()
	index := uint64(0)
	apply := func(e *fsmpb.Entry) {
		t.Helper()
		index++
		replay(t, one, []*raft.Log{logOf(t, index, e)})
		replay(t, busy, []*raft.Log{logOf(t, index, e)})
	}
	number := map[string]uint64{}
	do := func(sid string, epoch uint64, ops ...*fsmpb.Op) {
		t.Helper()
		number[sid]++
		apply(entryBatches(grouped(sid, epoch, number[sid], ops...)))
	}
	apply(entryFound("cluster", nil))
	apply(entryUp(upOf("a", "i")))
	apply(entryUp(upOf("b", "i")))
	a, b := gen(2), gen(3)
	for round := range 5 {
		for i := range 40 {
			var ops []*fsmpb.Op
			for j := range 50 {
				ops = append(ops, opAdd(fmt.Sprint("channel", round, (i+j)%60), fmt.Sprint("user", i*7+j), "a", a), opAdd("world", fmt.Sprint("user", i+j), "b", b))
			}
			do("b", b, ops...)
		}
		snapshot, err := busy.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		apply(entryUp(upOf("a", fmt.Sprint("i", round)))) // drops all that the process before had
		a = gen(index)
		do("b", b, opDestroy("world"))
		for i := range 5 {
			do("b", b, opAdd("guild", fmt.Sprint("user", i, round), "b", b))
		}
		snapshot.Release()
		apply(entryCheckpoint())
		if x, y := taken(t, one), taken(t, busy); x != y {
			t.Fatalf("round %d: %+v and %+v", round, x, y)
		}
	}
}
