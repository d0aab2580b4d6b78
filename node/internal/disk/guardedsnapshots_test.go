package disk

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Raft sends others the first of the list, and another one only if it is not there.
func TestSnapshots_UnreadableIsNotListedAgain(t *testing.T) {
	each(t, func(t *testing.T, kind LogStore) {
		dir := filepath.Join(t.TempDir(), "data")
		s := open(t, dir, kind)
		fill(t, s, 1, 20)
		snapshot(t, s, 10)
		snapshot(t, s, 15)
		listed := func(want ...uint64) (newest string) {
			t.Helper()
			list, err := s.Snapshots.List()
			must(t, err)
			var got []uint64
			for _, m := range list {
				got = append(got, m.Index)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("listed (-want +got):\n%s", diff)
			}
			return list[0].ID
		}
		newest := listed(15, 10)
		must(t, os.Truncate(filepath.Join(dir, "snapshots", newest, "state.bin"), 1))
		if _, _, err := s.Snapshots.Open(newest); err == nil {
			t.Error("it can be read")
		}
		older := listed(10)
		_, content, err := s.Snapshots.Open(older)
		must(t, err)
		must(t, content.Close())
		select {
		case <-s.Missing:
		default:
			t.Error("nobody is told that another one is wanted")
		}
		snapshot(t, s, 18)
		listed(18) // Raft keeps two files, of which one is the unreadable one
		snapshot(t, s, 19)
		listed(19, 18)
		must(t, s.Close())
	})
}
