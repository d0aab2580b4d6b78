package fsm

import (
	"context"
	"errors"
	"testing"
)

// A capture that nobody reads on with must not keep notes of everything that is written.
func TestCapture_IsGivenUpWhenItsNotesAreTooMany(t *testing.T) {
	s := NewState()
	c := s.begin()
	c.notes = s.maxNotes()
	s.sweep(1)
	if c.over() || s.capturing() != c {
		t.Fatal("given up within its limit")
	}
	c.notes++
	s.sweep(2)
	if !c.over() || s.capturing() != nil || s.pins.none() {
		t.Errorf("over %v, no pins: %v; the reader may have ids in hand", c.over(), s.pins.none())
	}
	if _, err := c.hash(context.Background()); !errors.Is(err, errCaptureOver) {
		t.Errorf("error %v, want that it was given up", err)
	}
	c.release()
	if !s.pins.none() {
		t.Error("pinned after its reader is done")
	}
}
