package node

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

func TestAge_CountsFromTheSendingOfWhatTheReplicaHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a age
		start := time.Now()
		at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
		wait(t.Context(), 100*time.Millisecond)
		want := func(index uint64, ms int) {
			t.Helper()
			got, known := a.now(index)
			if !known || got != time.Duration(ms)*time.Millisecond {
				t.Errorf("age at index %d: %v, %v; want %d ms", index, got, known, ms)
			}
		}
		if got, known := a.now(1000); known {
			t.Errorf("nothing was answered, and the age is %v", got)
		}
		a.note(at(10), 5)
		if got, known := a.now(4); known {
			t.Errorf("the replica has nothing that was answered, and its age is %v", got)
		}
		want(5, 90)
		a.note(at(30), 9)
		want(8, 90)
		a.note(at(20), 7) // of another connection: sent earlier, answered later
		want(8, 80)
		a.note(at(15), 8) // tells nothing new
		want(8, 80)
		a.note(at(40), 9)
		want(9, 60)
		a.note(at(50), 8) // there already: an older index at a later time
		want(9, 50)
		want(3, 50) // a look that came late does not take it back
	})
}

// Against all answers ever given: never too low, and right while only few are
// ahead of the replica.
func TestAge_AgreesWithAllAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed := rand.Uint64()
		rnd := rand.New(rand.NewPCG(seed, 0))
		for round := range 300 {
			var a age
			var all []mark
			start, ahead := time.Now(), round%2 == 0
			wait(t.Context(), time.Second)
			applied := uint64(0)
			for i := range 400 {
				m := mark{start.Add(time.Duration(i+rnd.IntN(9)) * time.Millisecond), uint64(i + rnd.IntN(9))}
				a.note(m.sent, m.index)
				all = append(all, m)
				if lag := rnd.IntN(40); !ahead && i > lag {
					applied = max(applied, uint64(i-lag))
				} else if ahead && rnd.IntN(150) == 0 {
					applied = max(applied, uint64(rnd.IntN(i+1)))
				} else {
					continue
				}
				want := time.Duration(-1)
				for _, m := range all {
					if old := time.Since(m.sent); m.index <= applied && (want < 0 || old < want) {
						want = old
					}
				}
				got, known := a.now(applied)
				switch {
				case known && (want < 0 || got < want):
					t.Fatalf("seed %d: age %v at index %d, truly %v", seed, got, applied, want)
				case !ahead && want >= 0 && got != want:
					t.Fatalf("seed %d: age %v, %v at index %d, truly %v", seed, got, known, applied, want)
				}
			}
			if len(a.ahead) > maxAhead {
				t.Fatalf("%d answers are remembered", len(a.ahead))
			}
		}
		var a age
		for i := range uint64(3 * maxAhead) {
			a.note(time.Now(), i)
			if newest := a.ahead[len(a.ahead)-1].index; newest != i {
				t.Fatalf("answer %d was forgotten, %d is the newest", i, newest)
			}
			wait(t.Context(), time.Millisecond)
		}
	})
}
