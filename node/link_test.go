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

// deliver has an outbox send so many full batches over links as scripted, all of which
// must be acknowledged, and tells how long that took and over how many links.
func deliver(t *testing.T, batches int, s scripted) (took time.Duration, links int) {
	ctx, cancel := context.WithCancel(t.Context())
	s.opened = &links
	o := newOutbox("a", s, time.Minute, nil)
	var group, callers sync.WaitGroup
	ops := destroys(maxBatchOps)
	start := time.Now()
	for range batches {
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
	group.Go(func() { live(ctx, o, 1) })
	callers.Wait()
	took = time.Since(start)
	cancel()
	group.Wait()
	return took, links
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
				if took, links := deliver(t, 2, scripted{say: say}); took >= time.Second || links < 3 {
					t.Errorf("took %v over %d links", took, links)
				}
			})
		})
	}
}

// An origin that had many batches on their way took a leader on a slow disk for dead.
func TestOutbox_SlowLeaderIsNotSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if _, links := deliver(t, 12, scripted{before: 900 * time.Millisecond}); links != 1 {
			t.Errorf("%d links to a leader that answered every 0.9 s", links)
		}
	})
}
