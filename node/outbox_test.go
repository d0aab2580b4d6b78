package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// treachery is a cluster as an outbox sees it on its worst days: a real state, and
// leaders that lose answers, commit twice, refuse, commit what they were given long
// after another one was asked, and install snapshots in between.
type treachery struct {
	t       *testing.T
	rand    *rand.Rand // guarded by mu, as all below
	honest  bool       // the outbox's worst days are over
	more    []string   // fates beside the usual ones
	replica *fsm.Replica

	mu    sync.Mutex
	index uint64
	late  []slip // with leaders that have lost their office, or think so
	done  map[string]int
}

func newTreachery(t *testing.T, seed uint64, more ...string) *treachery {
	tr := &treachery{
		t: t, more: more, rand: rand.New(rand.NewPCG(seed, 1)), replica: fsm.NewReplica(), done: make(map[string]int),
	}
	tr.apply(&fsmpb.Entry{Command: &fsmpb.Entry_Found{Found: &fsmpb.Found{ClusterId: "3b241101-e2bb-4255-8caf-4136c566a962", Generation: 1}}})
	return tr
}

// register begins a life and returns its epoch.
func (tr *treachery) register(sid string) uint64 {
	return tr.apply(&fsmpb.Entry{Command: &fsmpb.Entry_ServerUp{ServerUp: &fsmpb.ServerUp{
		Sid: sid, Stype: "t", NodeId: "n", Incarnation: fmt.Sprint("i", tr.index), Addr: "a:1", Seen: tr.index,
	}}}).Up.Server.Epoch
}

func (tr *treachery) apply(e *fsmpb.Entry) fsm.Result {
	data, err := fsm.EncodeEntry(fsm.Version, e)
	if err != nil {
		tr.t.Fatal(err)
	}
	return tr.append(data)
}

// append runs with mu held, or before there is anybody else.
func (tr *treachery) append(entry []byte) fsm.Result {
	tr.index++
	return tr.replica.Apply(&raft.Log{Type: raft.LogCommand, Index: tr.index, Data: entry}).(fsm.Result)
}

func (tr *treachery) commit(data []byte) fsm.BatchResult {
	return tr.append(fsm.AppendBatches(nil, fsm.Version, data)).Batches[0]
}

// restart replaces the state by its own snapshot.
func (tr *treachery) restart() {
	tr.done["snapshot"]++
	snap, err := tr.replica.Snapshot()
	if err != nil {
		tr.t.Error(err)
		return
	}
	sink := &memorySink{}
	if err := snap.Persist(sink); err != nil {
		tr.t.Error(err)
	}
	if err := tr.replica.Restore(io.NopCloser(&sink.Buffer)); err != nil {
		tr.t.Error(err)
	}
}

type memorySink struct{ bytes.Buffer }

func (*memorySink) ID() string    { return "snapshot" }
func (*memorySink) Cancel() error { return nil }
func (*memorySink) Close() error  { return nil }

func (tr *treachery) known() bool                     { return true }
func (tr *treachery) changed() <-chan struct{}        { return nil }
func (tr *treachery) await(ctx context.Context) error { return ctx.Err() }
func (tr *treachery) follow(ctx context.Context, _ time.Duration) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}
func (tr *treachery) pause(ctx context.Context, _ <-chan struct{}, d time.Duration) { wait(ctx, d) }

// open connects with whoever leads now. What it is given is acted upon after some
// time, in order, as a leader does.
func (tr *treachery) open(ctx context.Context, l *link, answer func(*peerpb.WriteResponse)) error {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if !tr.honest && tr.rand.IntN(10) == 0 {
		return errors.New("nobody listens")
	}
	line := make(chan *batch, 4*fsm.Window)
	l.send = func(b *batch) error {
		line <- b
		return ctx.Err()
	}
	l.readers.Go(func() {
		for {
			select {
			case b := <-line:
				wait(ctx, time.Millisecond)
				tr.receive(ctx, l, b, answer)
			case <-ctx.Done():
				// What was on the way may still arrive there.
				for len(line) > 0 {
					tr.receive(ctx, l, <-line, func(*peerpb.WriteResponse) {})
				}
				return
			}
		}
	})
	return nil
}

// receive is one leader's dealing with one batch.
func (tr *treachery) receive(ctx context.Context, l *link, b *batch, answer func(*peerpb.WriteResponse)) {
	tr.mu.Lock()
	var resp *peerpb.WriteResponse
	say := func(d peerpb.Disposition, r fsm.BatchResult) {
		resp = &peerpb.WriteResponse{Number: b.number, Disposition: d, Index: r.Index, Results: r.Results, Batch: uint32(r.Outcome)}
	}
	fate := "commit"
	if !tr.honest {
		fates := append([]string{
			"commit", "commit", "commit", "commit twice", "lose the answer", "lose the batch", "refuse",
			"unknown, committed", "unknown, not committed", "commit late", "say it twice", "snapshot",
		}, tr.more...)
		fate = fates[tr.rand.IntN(len(fates))]
	}
	tr.done[fate]++
	switch fate {
	case "commit":
		say(peerpb.Disposition_DISPOSITION_APPLIED, tr.commit(b.data))
	case "commit twice":
		tr.commit(b.data)
		say(peerpb.Disposition_DISPOSITION_APPLIED, tr.commit(b.data))
	case "lose the answer":
		tr.commit(b.data)
		l.over()
	case "lose the batch": // and say nothing: only a deadline finds out
	case "refuse":
		say(peerpb.Disposition_DISPOSITION_NOT_SUBMITTED, fsm.BatchResult{})
	case "cannot read":
		say(peerpb.Disposition_DISPOSITION_REFUSED, fsm.BatchResult{})
	case "unknown, committed":
		tr.commit(b.data)
		say(peerpb.Disposition_DISPOSITION_UNKNOWN, fsm.BatchResult{})
	case "unknown, not committed":
		say(peerpb.Disposition_DISPOSITION_UNKNOWN, fsm.BatchResult{})
	case "commit late":
		tr.late = append(tr.late, slip{number: b.number, data: bytes.Clone(b.data)})
		l.over()
	case "say it twice":
		say(peerpb.Disposition_DISPOSITION_APPLIED, tr.commit(b.data))
	case "snapshot":
		say(peerpb.Disposition_DISPOSITION_APPLIED, tr.commit(b.data))
		tr.restart()
	}
	// Deposed leaders wake up at any time.
	if n := len(tr.late); n > 0 && tr.rand.IntN(3) == 0 {
		at := tr.rand.IntN(n)
		tr.commit(tr.late[at].data)
		tr.late = append(tr.late[:at], tr.late[at+1:]...)
		tr.done["late"]++
	}
	tr.mu.Unlock()
	if resp == nil {
		return
	}
	answer(resp)
	if fate == "say it twice" {
		answer(resp)
	}
}

// peace ends the treason, and lets everything happen that could still happen.
func (tr *treachery) peace() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.honest = true
	for _, s := range tr.late {
		tr.commit(s.data)
	}
	tr.late = nil
}

func (tr *treachery) members(name string) (uids []string) {
	tr.replica.View(func(s *fsm.State) { uids = s.MembersBySID(name, "a").UIDs() })
	return uids
}

// An operation that took effect twice, or out of order, would find its member in
// the state that it wants to bring about, and report no change.
func TestOutbox_EachOperationOnceAndInOrderUnderTreacherousLeaders(t *testing.T) {
	happened := make(map[string]int)
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			tr := newTreachery(t, seed)
			epoch := tr.register("a")
			o := newOutbox("a", tr, time.Hour, nil)
			ctx, cancel := context.WithCancel(t.Context())
			var group sync.WaitGroup
			group.Go(func() { live(ctx, o, epoch) })

			op := func(kind fsmpb.OpKind, uid string) fsm.Op {
				return fsm.Op{Kind: kind, Name: "room", UID: uid, SID: "a", Epoch: epoch}
			}
			kinds := []fsmpb.OpKind{fsmpb.OpKind_OP_ADD, fsmpb.OpKind_OP_LEAVE}
			var callers sync.WaitGroup
			for i := range 8 {
				callers.Go(func() {
					uid := fmt.Sprint("u", i)
					var begun []*call // every third caller does not wait for one answer before the next call
					for n := range 41 {
						c, err := o.begin(1, op(kinds[n%2], uid))
						if err != nil {
							t.Errorf("seed %d: %v", seed, err)
							return
						}
						begun = append(begun, c)
						if i%3 == 0 && n < 40 {
							continue
						}
						for _, c := range begun {
							if a, err := o.end(ctx, c); err != nil || a.results[0] != fsm.OpChanged {
								t.Errorf("seed %d: operation %d of %s: %v %v, want a change", seed, n, uid, a.results, err)
							}
						}
						begun = nil
					}
				})
			}
			callers.Wait()
			tr.peace()
			if got := len(tr.members("room")); got != 8 {
				t.Errorf("seed %d: %d members in the end, want 8", seed, got)
			}
			for fate, n := range tr.done {
				happened[fate] += n
			}
			cancel()
			group.Wait()
		})
	}
	t.Log(happened)
	for _, fate := range []string{"commit twice", "lose the answer", "lose the batch", "refuse", "unknown, committed", "commit late", "late", "snapshot"} {
		if happened[fate] == 0 {
			t.Errorf("%q never happened", fate)
		}
	}
}

// live is an outbox's whole existence, in one life.
func live(ctx context.Context, o *outbox, epoch uint64) {
	o.enter(epoch, 0, nil)
	o.run(ctx)
	o.abandon(ctx)
}
