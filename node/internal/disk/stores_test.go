package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// everywhere runs a test over all stores: in files of each kind, and in memory.
// again opens the same one once more.
func everywhere(t *testing.T, test func(t *testing.T, again func() *Store)) {
	t.Helper()
	each(t, func(t *testing.T, kind LogStore) {
		dir := filepath.Join(t.TempDir(), "data")
		test(t, func() *Store { return open(t, dir, kind) })
	})
	t.Run("memory", func(t *testing.T) {
		m := new(Memory)
		test(t, func() *Store { return openMemory(t, m) })
	})
}

func entry(index uint64) *raft.Log {
	return &raft.Log{Index: index, Term: 1 + index/10, Type: raft.LogCommand, Data: fmt.Append(nil, "entry ", index)}
}

// wantLog checks every entry of s, through the cache and past it.
func wantLog(t *testing.T, s *Store, first, last uint64) {
	t.Helper()
	f, err := s.Log.FirstIndex()
	must(t, err)
	l, err := s.Log.LastIndex()
	must(t, err)
	if f != first || l != last {
		t.Fatalf("%d to %d, want %d to %d", f, l, first, last)
	}
	for i := first; i <= last && i > 0; i++ {
		var got raft.Log
		must(t, s.Log.GetLog(i, &got))
		got.AppendedAt = entry(i).AppendedAt
		if diff := cmp.Diff(entry(i), &got); diff != "" {
			t.Errorf("entry %d: %s", i, diff)
		}
	}
	if err := s.Log.GetLog(last+1, new(raft.Log)); err != raft.ErrLogNotFound { // Raft compares
		t.Errorf("entry %d: %v", last+1, err)
	}
}

func TestStore_DeletesRangesAtBothEndsAndKeepsTheRest(t *testing.T) {
	everywhere(t, func(t *testing.T, again func() *Store) {
		s := again()
		reopen := func() {
			t.Helper()
			must(t, s.Close())
			s = again()
		}
		defer func() { must(t, s.Close()) }()
		wantLog(t, s, 0, 0)
		for i := range uint64(10) {
			must(t, s.Log.StoreLog(entry(i+1)))
		}
		must(t, s.Log.DeleteRange(1, 3)) // after a snapshot
		wantLog(t, s, 4, 10)
		reopen()
		wantLog(t, s, 4, 10)
		must(t, s.Log.DeleteRange(8, 10)) // what another leader has otherwise
		wantLog(t, s, 4, 7)
		reopen()
		wantLog(t, s, 4, 7)
		must(t, s.Log.StoreLogs([]*raft.Log{entry(8), entry(9)}))
		reopen()
		wantLog(t, s, 4, 9)
		must(t, s.Log.DeleteRange(4, 9)) // a snapshot was installed
		wantLog(t, s, 0, 0)
		reopen()
		wantLog(t, s, 0, 0)
		must(t, s.Log.StoreLog(entry(100)))
		reopen()
		wantLog(t, s, 100, 100)
	})
}

func TestStore_KeepsTermAndVote(t *testing.T) {
	everywhere(t, func(t *testing.T, again func() *Store) {
		s := again()
		if _, err := s.Stable.Get([]byte("vote")); err == nil || err.Error() != "not found" { // Raft compares the text
			t.Errorf("%v", err)
		}
		must(t, s.Stable.SetUint64([]byte("term"), 7))
		must(t, s.Stable.Set([]byte("vote"), []byte("c2")))
		must(t, s.Close())
		s = again()
		defer func() { must(t, s.Close()) }()
		term, err := s.Stable.GetUint64([]byte("term"))
		must(t, err)
		vote, err := s.Stable.Get([]byte("vote"))
		if err != nil || term != 7 || string(vote) != "c2" {
			t.Errorf("%v %d %q", err, term, vote)
		}
	})
}

func TestStore_CachesWhatFollowersAskFor(t *testing.T) {
	each(t, func(t *testing.T, kind LogStore) {
		s := open(t, filepath.Join(t.TempDir(), "data"), kind)
		must(t, s.Log.StoreLog(entry(1)))
		must(t, s.Close())
		if err := s.Log.GetLog(1, new(raft.Log)); err != nil {
			t.Errorf("not from the cache: %v", err)
		}
	})
}

func TestStore_IsSilent(t *testing.T) {
	each(t, func(t *testing.T, kind LogStore) {
		var said bytes.Buffer
		logger := hclog.New(&hclog.LoggerOptions{Output: &said, Level: hclog.Trace})
		s, err := Open(t.Context(), filepath.Join(t.TempDir(), "data"), "c1", kind, logger)
		must(t, err)
		for i := range uint64(10) {
			must(t, s.Log.StoreLog(entry(i+1)))
		}
		must(t, s.Log.DeleteRange(5, 10))
		must(t, s.Close())
		if said.Len() > 0 {
			t.Errorf("%s", said.String())
		}
	})
}

func TestOpen_GivesTheLockBackAfterEveryRefusal(t *testing.T) {
	each(t, func(t *testing.T, kind LogStore) {
		dir := filepath.Join(t.TempDir(), "data")
		belongs(t, dir, kind)
		for range 3 {
			if _, err := Open(context.Background(), dir, "c2", kind, hclog.NewNullLogger()); err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
		}
		must(t, open(t, dir, kind).Close())
	})
}
