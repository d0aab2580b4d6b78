package node

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// instant is a leader that answers at once: what is left is the outbox.
type instant struct{ local }

func (instant) open(_ context.Context, l *link, answer func(*peerpb.WriteResponse)) error {
	l.send = func(b *batch) error {
		ops := 0
		for _, c := range b.calls {
			ops += c.ops
		}
		answer(&peerpb.WriteResponse{
			Number: b.number, Disposition: peerpb.Disposition_DISPOSITION_APPLIED, Batch: uint32(fsm.BatchApplied), Index: b.number, Results: make([]byte, ops),
		})
		return nil
	}
	return nil
}

func BenchmarkOutbox(b *testing.B) {
	for _, callers := range []int{1, 50, 1000} {
		b.Run(fmt.Sprint(callers, " callers"), func(b *testing.B) {
			o := newOutbox("c1", instant{}, time.Hour, nil)
			ctx, cancel := context.WithCancel(b.Context())
			var loop, group sync.WaitGroup
			loop.Go(func() { live(ctx, o, 1<<48) })
			b.ReportAllocs()
			for c := range callers {
				group.Go(func() {
					for range (b.N + callers - 1 - c) / callers {
						if _, err := o.do(ctx, 1, fsm.Op{Kind: fsmpb.OpKind_OP_ADD, Name: "guild:7", UID: "user-123456", SID: "c1", Epoch: 1 << 48}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			b.StopTimer()
			cancel()
			loop.Wait()
		})
	}
}
