package load

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// took makes calls that take d each.
func took(d time.Duration, ops int) func(int) Step {
	return func(int) Step {
		return func(ctx context.Context) (int, error) {
			pause(ctx, d)
			return ops, ctx.Err()
		}
	}
}

func TestRun_CountsWhatEndsInTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := Start(10, took(10*time.Millisecond, 3))
		defer r.Stop(t.Context())
		if err := r.WarmUp(t.Context(), 5*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		pause(t.Context(), time.Millisecond) // calls end at 20 ms, 30 ms...; the window begins at 11 ms
		got, err := r.Measure(t.Context(), 100*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if want := uint64(10 * 10 * 3); got.Ops != want {
			t.Errorf("operations: got %d, want %d", got.Ops, want)
		}
		if got.Seconds != 0.1 {
			t.Errorf("seconds: got %v, want 0.1", got.Seconds)
		}
		for _, us := range []float64{got.P50us, got.P99us} {
			if us < 9_900 || us > 10_100 {
				t.Errorf("percentile: got %v us, want 10,000 within 1 %%", us)
			}
		}
		if got.Errors != 0 || got.Error != "" {
			t.Errorf("got %d errors (%s), want none", got.Errors, got.Error)
		}
	})
}

func TestRun_WarmUpWaitsForEveryCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := Start(3, func(caller int) Step { return took(time.Duration(caller+1)*time.Second, 1)(caller) })
		defer r.Stop(t.Context())
		began := time.Now()
		if err := r.WarmUp(t.Context(), time.Second/2); err != nil {
			t.Fatal(err)
		}
		if got, want := time.Since(began), 3*time.Second; got != want {
			t.Errorf("warm-up took %v, want %v: until the slowest caller has had an answer", got, want)
		}
	})
}

func TestRun_WarmUpEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := Start(1, took(time.Hour, 1))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		defer r.Stop(ctx)
		if err := r.WarmUp(ctx, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
	})
}

func TestRun_CountsErrorsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		r := Start(1, func(int) Step {
			return func(ctx context.Context) (int, error) { return 1, broken }
		})
		defer r.Stop(t.Context())
		got, err := r.Measure(t.Context(), 100*errorPause)
		if err != nil {
			t.Fatal(err)
		}
		if got.Ops != 0 || got.Errors == 0 || got.Error != broken.Error() {
			t.Errorf("got %+v, want no operations and errors", got)
		}
		if got.Errors > 101 {
			t.Errorf("got %d errors: the caller spins", got.Errors)
		}
	})
}

func TestRun_StopWaitsForOutstandingCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Int64
		r := Start(5, func(int) Step {
			return func(ctx context.Context) (int, error) {
				pause(ctx, time.Second)
				if ctx.Err() == nil {
					ended.Add(1)
				}
				return 1, ctx.Err()
			}
		})
		synctest.Wait()
		r.Stop(t.Context())
		if got, want := ended.Load(), int64(5); got != want {
			t.Errorf("%d calls ended, want %d", got, want)
		}
	})
}

func TestRun_MeasureEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := Start(1, took(time.Second, 1))
		defer r.Stop(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		if _, err := r.Measure(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
	})
}

func TestPaced_KeepsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := StartPaced(2000, 100, took(10*time.Millisecond, 1))
		defer r.Stop(t.Context())
		if err := r.WarmUp(t.Context(), 500*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		got, err := r.Measure(t.Context(), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if got.Ops < 1995 || got.Ops > 2005 {
			t.Errorf("operations in a second: got %d, want 2,000", got.Ops)
		}
		if got.P99us < 9_900 || got.P99us > 11_200 { // due up to a tick before it begins
			t.Errorf("p99: got %v us, want 10 to 11 ms", got.P99us)
		}
	})
}

func TestPaced_WaitingForACallerCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := StartPaced(100, 1, took(20*time.Millisecond, 1)) // twice what one caller can do
		defer r.Stop(t.Context())
		pause(t.Context(), time.Second)
		got, err := r.Measure(t.Context(), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if got.Ops < 49 || got.Ops > 51 {
			t.Errorf("operations in a second: got %d, want 50", got.Ops)
		}
		if got.P50us < 500_000 {
			t.Errorf("p50: got %v us, though the caller is half a second behind at least", got.P50us)
		}
	})
}
