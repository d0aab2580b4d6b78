package state

import (
	"testing"
	"time"

	"github.com/pofresh/globalchannel/fsm"
)

func TestAsk_CountsYesAndAllocations(t *testing.T) {
	w, err := tiny().build(t.Context(), small, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	places := w.places(1000)
	a, err := w.ask(t.Context(), places, time.Millisecond, func(s fsm.Reads, p place) bool { return s.Contains(p.name, p.uid) })
	if err != nil {
		t.Fatal(err)
	}
	// The odd places are random ones, of few channels and players here.
	if a.ns <= 0 || a.yes < len(places)/2 || a.yes == len(places) {
		t.Errorf("half of the places are memberships: got %+v", a)
	}
	var kept [][]byte
	a, err = w.ask(t.Context(), places, time.Millisecond, func(fsm.Reads, place) bool {
		kept = append(kept[:0], make([]byte, 100))
		return false
	})
	if err != nil || a.yes != 0 || a.allocs < 1 {
		t.Errorf("an allocation for each, and no yes: got %+v, %v", a, err)
	}
}
