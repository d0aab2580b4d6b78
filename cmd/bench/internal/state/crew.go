package state

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// callers is how many goroutines ask at once.
const callers = 8

// call is one question; random is the caller's own.
type call func(random *rand.Rand) error

// perSecond is how many calls a number of goroutines make in a second, together.
// Each makes its next one as soon as it has its answer.
func perSecond(ctx context.Context, callers int, d time.Duration, do call) (float64, error) {
	var ended atomic.Bool
	var calls atomic.Int64
	errs := make([]error, callers)
	var group sync.WaitGroup
	began := time.Now()
	timer := time.AfterFunc(d, func() { ended.Store(true) })
	defer timer.Stop()
	for i := range callers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 3))
			n := int64(0)
			for ; !ended.Load() && errs[i] == nil; n++ {
				errs[i] = do(random)
			}
			calls.Add(n)
		})
	}
	group.Wait()
	return float64(calls.Load()) / time.Since(began).Seconds(), errors.Join(append(errs, ctx.Err())...)
}
