package fsm

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/fsm/internal/snapfile"
)

// A reader who hears late that its capture was given up, because its disk hangs for
// example, must not meet memory that was swept and is in use for something else.
func TestCapture_GivenUpUnderItsReaderIsAnErrorAndNoCrash(t *testing.T) {
	giveUp := map[string]func(c *crowded, capture *capture){
		"too many notes": func(c *crowded, capture *capture) {
			capture.notes = c.s.maxNotes() + 1
			c.do()
		},
		"another one": func(c *crowded, _ *capture) { c.s.begin().release() },
	}
	for name, giveUp := range giveUp {
		t.Run(name, func(t *testing.T) {
			step := 5
			if RaceDetector {
				step = 25
			}
			for stop := 1; ; stop += step { // the places where a reader may be held up
				if !heldUp(t, stop, giveUp) {
					break
				}
			}
		})
	}
}

// heldUp reads a capture that is given up after so many pieces, and says whether there
// were so many.
func heldUp(t *testing.T, stop int, giveUp func(*crowded, *capture)) bool {
	t.Helper()
	c := newCrowded(t, 3000, inOne)
	capture := c.s.begin()
	capture.piecePlayers, capture.pieceMembers, capture.pieceIDs = 20, 300, 40
	pieces := 0
	between := func() {
		if pieces++; pieces != stop {
			return
		}
		c.do(&fsmpb.Op{Kind: fsmpb.OpKind_OP_DESTROY, Name: "big"})
		giveUp(c, capture)
		for range 5 { // sweep
			c.do()
		}
		var ops []*fsmpb.Op
		for i := range 50 { // use it again
			ops = append(ops, &fsmpb.Op{Kind: fsmpb.OpKind_OP_ADD, Name: fmt.Sprint("new", i), Uid: fmt.Sprint("other", i), Sid: "outside"})
		}
		c.do(ops...)
	}
	err := capture.sections(hooked{context.Background(), between}, func(snapfile.Kind, uint32, []byte) error { return nil })
	capture.release()
	capture.release()
	if pieces >= stop && !errors.Is(err, errCaptureOver) {
		t.Errorf("held up after %d pieces: error %v, want that it was given up", stop, err)
	}
	for range 5 {
		c.do()
	}
	if err := CheckIndexes(c.s); err != nil || !c.s.pins.none() {
		t.Fatalf("held up after %d pieces: %v, no pins: %v", stop, err, c.s.pins.none())
	}
	return pieces >= stop
}
