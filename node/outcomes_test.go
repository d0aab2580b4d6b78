package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// What was acknowledged is there in the end; what was rejected or not sent is not.
func TestOutbox_OutcomesAreHonestUnderTreacherousLeaders(t *testing.T) {
	count := map[string]int{}
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			tr := newTreachery(t, seed, "cannot read")
			epoch := tr.register("a")
			o := newOutbox("a", tr, time.Hour, nil)
			ctx, cancel := context.WithCancel(t.Context())
			var group sync.WaitGroup
			group.Go(func() { live(ctx, o, epoch) })
			var mu sync.Mutex
			told := map[string]error{}
			var callers sync.WaitGroup
			for i := range 12 {
				callers.Go(func() {
					r := rand.New(rand.NewPCG(seed, uint64(i)))
					for n := range 20 {
						uid := fmt.Sprintf("u%d-%d", i, n)
						ops := []fsm.Op{{Kind: fsmpb.OpKind_OP_ADD, Name: "room", UID: uid, SID: "a", Epoch: epoch}}
						if i%2 == 0 {
							for len(ops) < 3000 {
								ops = append(ops, fsm.Op{Kind: fsmpb.OpKind_OP_DESTROY, Name: "n"})
							}
						}
						c, stop := context.WithTimeout(ctx, time.Duration(r.IntN(60))*time.Millisecond)
						_, err := o.do(c, 1, ops...)
						stop()
						mu.Lock()
						told[uid] = err
						mu.Unlock()
					}
				})
			}
			callers.Wait()
			tr.peace()
			wait(ctx, time.Minute)
			in := map[string]bool{}
			for _, u := range tr.members("room") {
				in[u] = true
			}
			for uid, err := range told {
				switch {
				case err == nil:
					count["ok"]++
					if !in[uid] {
						t.Errorf("seed %d: %s acknowledged, not there", seed, uid)
					}
				case errors.Is(err, ErrRejected):
					count["rejected"]++
					if in[uid] {
						t.Errorf("seed %d: %s was rejected, and is there", seed, uid)
					}
				case errors.Is(err, ErrNotSent):
					count["not sent"]++
					if in[uid] {
						t.Errorf("seed %d: %s was not sent, and is there", seed, uid)
					}
				case errors.Is(err, ErrOutcomeUnknown):
					count["unknown"]++
					if in[uid] {
						count["unknown, there"]++
					}
				default:
					t.Errorf("seed %d: %v", seed, err)
				}
			}
			if len(o.flight.batches) != 0 || o.queue.live != 0 || o.queue.ops != 0 || o.queue.bytes != 0 {
				t.Errorf("seed %d: left %d batches, queue %+v", seed, len(o.flight.batches), o.queue.live)
			}
			cancel()
			group.Wait()
		})
	}
	t.Log(count)
	for _, class := range []string{"ok", "rejected", "not sent", "unknown"} {
		if count[class] == 0 {
			t.Errorf("nobody was told %q", class)
		}
	}
}

// local is a route whose leader is a desk in this process.
type local struct{ d *desk }

func (l local) known() bool                     { return true }
func (l local) changed() <-chan struct{}        { return nil }
func (l local) await(ctx context.Context) error { return ctx.Err() }
func (l local) follow(ctx context.Context, _ time.Duration) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}
func (l local) pause(ctx context.Context, _ <-chan struct{}, d time.Duration) { wait(ctx, d) }
func (l local) open(ctx context.Context, k *link, answer func(*peerpb.WriteResponse)) error {
	k.send = func(b *batch) error {
		l.d.submit(slip{ctx: ctx, number: b.number, data: b.data, answer: answer})
		return nil
	}
	return nil
}

func destroys(n int) []fsm.Op {
	ops := make([]fsm.Op, n)
	for i := range ops {
		ops[i] = fsm.Op{Kind: fsmpb.OpKind_OP_DESTROY, Name: "n"}
	}
	return ops
}

// A leader that had several batches of one origin when it lost its office refused
// them one by one. After the first answer nobody listened to the others.
func TestOutbox_WhatWasNotSubmittedIsNotSentHoweverManyBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		d := newDesk(func(context.Context, []byte) (fsm.Result, peerpb.Disposition, error) {
			wait(ctx, time.Millisecond)
			return fsm.Result{}, peerpb.Disposition_DISPOSITION_NOT_SUBMITTED, errors.New("not leader")
		}, newestLevel)
		o := newOutbox("a", local{d}, time.Second, nil)
		var group sync.WaitGroup
		group.Go(func() { d.run(ctx) })
		ops := destroys(maxBatchOps)
		errs := make(chan error, 3)
		for range 3 {
			c, err := o.begin(1, ops...)
			if err != nil {
				t.Fatal(err)
			}
			group.Go(func() { _, err := o.end(ctx, c); errs <- err })
		}
		group.Go(func() { live(ctx, o, 1) })
		for range 3 {
			if err := <-errs; !errors.Is(err, ErrNotSent) {
				t.Errorf("%v; Raft never had any of it", err)
			}
		}
		cancel()
		group.Wait()
	})
}

func newestLevel() uint32 { return fsm.Version }

// In the log it would halt the servers that do not know it.
func TestDesk_RefusesABatchAboveTheLevel(t *testing.T) {
	d := newDesk(nil, func() uint32 { return 2 })
	data := fsm.AppendBatch(nil, "a", 1, 1, fsm.AppendGroup(nil, 1, fsm.Op{Kind: fsmpb.OpKind_OP_PRUNE, UID: "u", SID: "a"}))
	var got *peerpb.WriteResponse
	d.submit(slip{ctx: t.Context(), number: 1, data: data, answer: func(r *peerpb.WriteResponse) { got = r }})
	if got.GetDisposition() != peerpb.Disposition_DISPOSITION_REFUSED || !strings.Contains(got.GetReason(), "level 3") {
		t.Errorf("answer %v", got)
	}
}

func TestDesk_RefusesABatchThatIsLargerThanAnEntry(t *testing.T) {
	got := 0
	d := newDesk(func(_ context.Context, e []byte) (fsm.Result, peerpb.Disposition, error) {
		got = len(e)
		return fsm.Result{Batches: make([]fsm.BatchResult, 1)}, peerpb.Disposition_DISPOSITION_APPLIED, nil
	}, newestLevel)
	go d.run(t.Context())
	var ops []fsm.Op
	for range 20000 {
		ops = append(ops, fsm.Op{Kind: fsmpb.OpKind_OP_DESTROY, Name: strings.Repeat("n", 255)})
	}
	data := fsm.AppendBatch(nil, "a", 1, 1, fsm.AppendGroup(nil, 1, ops...))
	done := make(chan *peerpb.WriteResponse, 1)
	d.submit(slip{ctx: t.Context(), number: 1, data: data, answer: func(r *peerpb.WriteResponse) { done <- r }})
	if r := <-done; r.GetDisposition() != peerpb.Disposition_DISPOSITION_REFUSED {
		t.Errorf("a batch of %d bytes became an entry of %d: %v", len(data), got, r.GetDisposition())
	}
}
