package node

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// scripted is leaders that answer each batch as the script says, by the link it came
// on; a batch without a line is applied.
type scripted struct {
	local
	say    map[int]map[uint64]*peerpb.WriteResponse // nil: no answer, ever
	before time.Duration                            // each answer
	opened *int
}

func (s scripted) open(ctx context.Context, l *link, answer func(*peerpb.WriteResponse)) error {
	*s.opened++
	script := s.say[*s.opened]
	line := make(chan *batch, 100)
	l.send = func(b *batch) error { line <- b; return ctx.Err() }
	l.readers.Go(func() {
		for {
			select {
			case b := <-line:
				wait(ctx, s.before)
				n := 0
				for _, c := range b.calls {
					n += c.ops
				}
				resp, scripted := script[b.number]
				if !scripted {
					resp = &peerpb.WriteResponse{Disposition: peerpb.Disposition_DISPOSITION_APPLIED, Batch: uint32(fsm.BatchApplied), Results: make([]byte, n), Index: b.number}
				}
				if resp != nil {
					resp.Number = b.number
					answer(resp)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return nil
}

// A leader refused one of two batches and then applied the other. The link had
// failed and nothing was on its way any more, but the origin stood still until the
// leader counted as silent.
func TestOutbox_FailedLinkEndsWithItsLastAnswer(t *testing.T) {
	unknown := func() *peerpb.WriteResponse {
		return &peerpb.WriteResponse{Disposition: peerpb.Disposition_DISPOSITION_UNKNOWN}
	}
	for name, say := range map[string]map[int]map[uint64]*peerpb.WriteResponse{
		"one not submitted, the next applied": {
			1: {1: unknown(), 2: unknown()},
			2: {1: {Disposition: peerpb.Disposition_DISPOSITION_NOT_SUBMITTED}},
		},
		"refused what may be in the log": {
			1: {1: unknown(), 2: unknown()},
			2: {1: {Disposition: peerpb.Disposition_DISPOSITION_REFUSED}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				opened := 0
				o := newOutbox("a", scripted{say: say, opened: &opened}, time.Minute, nil)
				var group, callers sync.WaitGroup
				ops := destroys(maxBatchOps)
				start := time.Now()
				for range 2 {
					c, err := o.begin(1, ops...)
					if err != nil {
						t.Fatal(err)
					}
					callers.Go(func() {
						if _, err := o.end(ctx, c); err != nil {
							t.Error(err)
						}
					})
				}
				group.Go(func() { o.run(ctx, 1, 0) })
				callers.Wait()
				if took := time.Since(start); took >= time.Second {
					t.Errorf("took %v over %d links", took, opened)
				}
				cancel()
				group.Wait()
			})
		})
	}
}

// An origin that had many batches on their way took a leader on a slow disk for dead.
func TestOutbox_SlowLeaderIsNotSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		opened := 0
		o := newOutbox("a", scripted{before: 900 * time.Millisecond, opened: &opened}, time.Minute, nil)
		var group sync.WaitGroup
		ops := destroys(maxBatchOps)
		var callers sync.WaitGroup
		for range 12 {
			c, err := o.begin(1, ops...)
			if err != nil {
				t.Fatal(err)
			}
			callers.Go(func() {
				if _, err := o.end(ctx, c); err != nil {
					t.Error(err)
				}
			})
		}
		group.Go(func() { o.run(ctx, 1, 0) })
		callers.Wait()
		cancel()
		group.Wait()
		if opened != 1 {
			t.Errorf("%d links to a leader that answered every 0.9 s", opened)
		}
	})
}
