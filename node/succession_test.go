package node

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// sealed is an outbox of life 1 with these batches under way: one call each.
func sealed(t *testing.T, ops ...fsm.Op) (*outbox, []*call) {
	t.Helper()
	o := newOutbox("a", nil, 0, nil)
	o.enter(1, 0, nil)
	var calls []*call
	for _, op := range ops {
		c, err := o.begin(1, op)
		if err != nil {
			t.Fatal(err)
		}
		o.flight.seal(&o.queue, nil).exposed = true
		calls = append(calls, c)
	}
	return o, calls
}

func leaves(uids ...string) (ops []fsm.Op) {
	for _, uid := range uids {
		ops = append(ops, fsm.Op{Kind: fsmpb.OpKind_OP_LEAVE, Name: "x", UID: uid, SID: "a", Epoch: 1})
	}
	return ops
}

func TestOutbox_ResumeNamesTheRemovalsByBatch(t *testing.T) {
	ops := leaves("u", "v")
	ops = append(ops, fsm.Op{Kind: fsmpb.OpKind_OP_ADD, Name: "x", UID: "w", SID: "a", Epoch: 1})
	other := fsm.Op{Kind: fsmpb.OpKind_OP_LEAVE_ALL, UID: "u", SID: "b", Epoch: 7}
	o, _ := sealed(t, append(ops, other)...)
	o.attached = func(sid string) bool { return sid == "b" }
	of := func(uid string) []*fsmpb.Op {
		return []*fsmpb.Op{{Kind: fsmpb.OpKind_OP_LEAVE, Name: "x", Uid: uid, Sid: "a", Epoch: 1}}
	}
	want := &fsmpb.Resume{Epoch: 1, Removals: []*fsmpb.Removals{{Number: 1, Ops: of("u")}, {Number: 2, Ops: of("v")}}}
	if diff := cmp.Diff(want, o.resume(), protocmp.Transform()); diff != "" {
		t.Errorf("resume (-want +got):\n%s", diff)
	}
	// What was for a frontend attached here, and had no effect, is for its own return.
	o.enter(2, 0, &fsmpb.Predecessor{Epoch: 1, LastNumber: 2})
	attached := &fsmpb.Resume{Epoch: 7, Removals: []*fsmpb.Removals{{Ops: []*fsmpb.Op{{Kind: fsmpb.OpKind_OP_LEAVE_ALL, Uid: "u", Sid: "b", Epoch: 7}}}}}
	if diff := cmp.Diff(attached, o.resumeAttached("b", 7), protocmp.Transform()); diff != "" {
		t.Errorf("resume of b (-want +got):\n%s", diff)
	}
}

// Who is told that a Leave had no effect must find the member there again. What the
// next registration takes along had one; all or nothing of a group that does more.
func TestOutbox_CarriedRemovalIsNotToldRejected(t *testing.T) {
	add := fsm.Op{Kind: fsmpb.OpKind_OP_ADD, Name: "x", UID: "w", SID: "a", Epoch: 1}
	goodbye := fsm.Op{Kind: fsmpb.OpKind_OP_LEAVE_ALL, UID: "u", SID: "a", Epoch: 1}
	attached := fsm.Op{Kind: fsmpb.OpKind_OP_LEAVE, Name: "x", UID: "u", SID: "b", Epoch: 7}
	elsewhere := fsm.Op{Kind: fsmpb.OpKind_OP_LEAVE, Name: "x", UID: "u", SID: "c", Epoch: 8}
	groups := map[string]struct {
		ops     []fsm.Op
		carried bool
	}{
		"a removal":                   {leaves("u"), true},
		"removals":                    {append(leaves("u", "v"), goodbye), true},
		"an add":                      {[]fsm.Op{add}, false},
		"a move by hand":              {append(leaves("u"), add), false},
		"of a frontend attached here": {[]fsm.Op{attached}, true},
		"of another server":           {[]fsm.Op{elsewhere}, false},
		"of two servers":              {append(leaves("u"), attached), false},
		"of two lives":                {append(leaves("u"), fsm.Op{Kind: fsmpb.OpKind_OP_LEAVE, Name: "x", UID: "v", SID: "a", Epoch: 9}), false},
	}
	for name, g := range groups {
		for _, over := range []string{"registered again", "ended"} {
			t.Run(name+", "+over, func(t *testing.T) {
				o, _ := sealed(t)
				o.attached = func(sid string) bool { return sid == "b" }
				c, err := o.begin(1, g.ops...)
				if err != nil {
					t.Fatal(err)
				}
				o.flight.seal(&o.queue, nil).fenced = true
				resumed := o.resume()
				if over == "ended" {
					o.abandon(t.Context())
				} else {
					o.enter(2, 0, &fsmpb.Predecessor{Epoch: 1})
				}
				carried := len(resumed.GetRemovals()) + len(o.resumeAttached("b", 7).GetRemovals())
				want, got := ErrFenced, (<-c.done).err
				if g.carried {
					want = ErrOutcomeUnknown
				}
				if !errors.Is(got, want) || errors.Is(got, ErrRejected) == errors.Is(got, ErrOutcomeUnknown) || (carried > 0) != g.carried {
					t.Errorf("%d carried, told %v; want carried %v and %v", carried, got, g.carried, want)
				}
			})
		}
	}
}

func TestOutbox_ResumesNothingRatherThanTooMuch(t *testing.T) {
	o, _ := sealed(t)
	for range 2 {
		many := make([]fsm.Op, maxBatchOps)
		for i := range many {
			many[i] = leaves("somebody-with-a-long-name")[0]
		}
		if _, err := o.begin(1, many...); err != nil {
			t.Fatal(err)
		}
		o.flight.seal(&o.queue, nil)
	}
	if r := o.resume(); r != nil {
		t.Errorf("%d batches of removals in one registration", len(r.GetRemovals()))
	}
}

// Every caller hears what became of its batch, from what the state has kept.
func TestOutbox_NewLifeSettlesTheBatchesOfTheOldOne(t *testing.T) {
	kept := []*fsmpb.BatchRecord{{Number: 2, Index: 70, Results: []byte{fsm.OpChanged}}}
	for name, tc := range map[string]struct {
		before *fsmpb.Predecessor
		want   [3]error // of batches 1, 2 and 3
	}{
		"known":             {&fsmpb.Predecessor{Epoch: 1, LastNumber: 2, Kept: kept}, [3]error{ErrOutcomeUnknown, nil, ErrFenced}},
		"of none":           {&fsmpb.Predecessor{Epoch: 1}, [3]error{ErrFenced, ErrFenced, ErrFenced}},
		"forgotten":         {nil, [3]error{ErrOutcomeUnknown, ErrOutcomeUnknown, ErrOutcomeUnknown}},
		"of a life between": {&fsmpb.Predecessor{Epoch: 9}, [3]error{ErrOutcomeUnknown, ErrOutcomeUnknown, ErrOutcomeUnknown}},
	} {
		t.Run(name, func(t *testing.T) {
			o, calls := sealed(t, leaves("u", "v", "w")...)
			o.enter(10, 0, tc.before)
			for i, c := range calls {
				a := <-c.done
				if want := tc.want[i]; (want == nil) != (a.err == nil) || want != nil && !errors.Is(a.err, want) {
					t.Errorf("batch %d: %v, want %v", i+1, a.err, want)
				}
				if a.err == nil && (a.index != 70 || len(a.results) != 1) {
					t.Errorf("batch %d: index %d, results %v", i+1, a.index, a.results)
				}
			}
			if o.flight.number != 0 || len(o.flight.batches) != 0 || o.flight.origin.epoch != 10 {
				t.Errorf("goes on with number %d of epoch %d, %d batches", o.flight.number, o.flight.origin.epoch, len(o.flight.batches))
			}
		})
	}
}

// A batch that was refused as fenced has no effect, whatever else is known.
// Who shared a batch of the old life is not waited for in the new one: nobody else may
// come, and then a lone caller would wait for ever.
func TestOutbox_LoneCallerGoesOnInTheNextLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTreachery(t, 1)
		tr.peace()
		old := tr.register("a")
		o := newOutbox("a", tr, time.Minute, nil)
		o.enter(old, 0, nil)
		add := fsm.Op{Kind: fsmpb.OpKind_OP_ADD, Name: "x", UID: "u", SID: "a"}
		for range 2 {
			if _, err := o.begin(1, add); err != nil {
				t.Fatal(err)
			}
		}
		o.flight.seal(&o.queue, nil)
		next := tr.register("a")
		o.enter(next, 0, &fsmpb.Predecessor{Epoch: old, LastNumber: 1, Kept: []*fsmpb.BatchRecord{
			{Number: 1, Index: 9, Results: []byte{fsm.OpChanged, fsm.OpUnchanged}},
		}})
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { o.run(ctx) })
		synctest.Wait() // it has found nothing to send
		if _, err := o.do(t.Context(), 1, add); err != nil {
			t.Error(err)
		}
		cancel()
		group.Wait()
		o.abandon(ctx)
	})
}

func TestOutbox_AbandonTellsWhatIsCertain(t *testing.T) {
	o, calls := sealed(t, leaves("u", "v")...)
	o.flight.batches[0].fenced = true
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o.abandon(ctx)
	if a := <-calls[0].done; !errors.Is(a.err, ErrFenced) {
		t.Errorf("refused: %v", a.err)
	}
	if a := <-calls[1].done; !errors.Is(a.err, ErrOutcomeUnknown) {
		t.Errorf("unanswered: %v", a.err)
	}
}

// Old news end no life that they are not about.
func TestLife_OldNewsAreNotForTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife(Server{SID: "a"}, nil)
		l.epoch.Store(1)
		l.toldOver(1)
		l.epoch.Store(2)
		l.index = 2
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan bool, 1)
		go func() { over <- l.watch(ctx, fsm.NewReplica()) }()
		synctest.Wait()
		if len(over) > 0 {
			t.Error("life 2 is over because life 1 was")
		}
		l.toldOver(2)
		if !<-over {
			t.Error("news of life 2 were not taken")
		}
		cancel()
	})
}
