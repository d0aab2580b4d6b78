package fsm

import "testing"

// What was said first stays, among few and among many.
func TestNotes_KeepWhatWasSaidFirst(t *testing.T) {
	var n notes[pair, int]
	for _, many := range []uint32{1, fewNotes, fewNotes + 1, 10 * fewNotes} {
		for i := range many {
			k := pair{i % 3, i}
			if n.of(k) != nil {
				t.Fatalf("%d of %d is noted before it was", i, many)
			}
			n.note(k, int(i))
		}
		for i := range many {
			if was := n.of(pair{i % 3, i}); was == nil || *was != int(i) {
				t.Fatalf("%d of %d: noted %v", i, many, was)
			}
		}
		if len(n.list) != int(many) || n.of(pair{7, 0}) != nil {
			t.Fatalf("%d notes, want %d; one of a key that was not noted: %v", len(n.list), many, n.of(pair{7, 0}))
		}
		n.clear()
		if len(n.list) != 0 || n.of(pair{}) != nil {
			t.Fatal("notes are left")
		}
	}
}
