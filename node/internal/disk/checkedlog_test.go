package disk

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
)

// A flipped bit in the data of an entry left an entry: this server alone applied it.
func TestOpen_RefusesALogWithAFlippedBitInAnEntry(t *testing.T) {
	each(t, func(t *testing.T, kind LogStore) {
		dir := filepath.Join(t.TempDir(), "data")
		s := open(t, dir, kind)
		for i := range uint64(20) {
			must(t, s.Log.StoreLog(entry(i+1)))
		}
		wantLog(t, s, 1, 20)
		must(t, s.Close())
		flipped := 0
		must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if n := bytes.Count(b, []byte("entry 7")); err == nil && n > 0 { // bbolt leaves old pages
				flipped += n
				err = os.WriteFile(path, bytes.ReplaceAll(b, []byte("entry 7"), []byte("entry 6")), 0o600)
			}
			return err
		}))
		if flipped == 0 {
			t.Fatal("the entry is nowhere; the test shows nothing")
		}
		refuses(t, dir, "c1", kind, "is damaged")
	})
}

func TestCheckedLog_FindsEveryChangeThatRaftWouldNotice(t *testing.T) {
	inner := raft.NewInmemStore()
	log := checkedLog{inner}
	for what, change := range map[string]func(*raft.Log){
		"index":    func(e *raft.Log) { e.Index++ },
		"term":     func(e *raft.Log) { e.Term ^= 1 },
		"type":     func(e *raft.Log) { e.Type++ },
		"data":     func(e *raft.Log) { e.Data = []byte("entry 2") },
		"no data":  func(e *raft.Log) { e.Data = nil },
		"checksum": func(e *raft.Log) { e.Extensions = []byte{1, 2, 3, 4} },
		"its size": func(e *raft.Log) { e.Extensions = []byte{1} },
	} {
		must(t, log.StoreLog(entry(1)))
		var e raft.Log
		must(t, inner.GetLog(1, &e))
		change(&e)
		at := e.Index
		must(t, inner.StoreLog(&e))
		if err := log.GetLog(at, &e); !errors.Is(err, errLogDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestCheckedLog_TakesWhatAnOlderBinaryLeft(t *testing.T) {
	each(t, func(t *testing.T, kind LogStore) {
		dir := filepath.Join(t.TempDir(), "data")
		s := open(t, dir, kind)
		old := s.Log.(*parkedLog).LogStore.(*gapless).LogStore.(*cachedLog).LogStore.(*guardedLog).log.(checkedLog).LogStore
		must(t, old.StoreLogs([]*raft.Log{entry(1), entry(2)}))
		must(t, s.Log.StoreLog(entry(3)))
		must(t, s.Close())
		s = open(t, dir, kind)
		wantLog(t, s, 1, 3)
		must(t, s.Close())
	})
}

// Raft goes on with the entries that it gave, and so do those that send them.
func TestCheckedLog_LeavesTheCallersEntriesAlone(t *testing.T) {
	e := entry(1)
	must(t, checkedLog{raft.NewInmemStore()}.StoreLog(e))
	if e.Extensions != nil {
		t.Errorf("%v", e.Extensions)
	}
}
