package disk

import (
	"io"
	"slices"
	"sync"

	"github.com/hashicorp/raft"
)

// guardedSnapshots are snapshots whose failures are noted. After a failure of the
// disk none is begun any more.
//
// One that could not be read is not listed again: Raft sends others the newest that it
// sees, and would send this one for ever. The log goes back to the older one, so that
// does instead, until there is another.
type guardedSnapshots struct {
	guard *Guard
	raft.SnapshotStore
	dir string

	mu         sync.Mutex      // guards unreadable
	unreadable map[string]bool // by id
	missing    chan struct{}   // one slot: one more is wanted in the place of an unreadable one
}

func (g *Guard) wrapSnapshots(s raft.SnapshotStore, dir string) *guardedSnapshots {
	return &guardedSnapshots{guard: g, SnapshotStore: s, dir: dir, unreadable: make(map[string]bool), missing: make(chan struct{}, 1)}
}

// Create implements raft.SnapshotStore.
func (s *guardedSnapshots) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration,
	configurationIndex uint64, transport raft.Transport) (raft.SnapshotSink, error) {
	var sink raft.SnapshotSink
	err := s.guard.doSoft("beginning a snapshot in", s.dir, func() (err error) {
		sink, err = s.SnapshotStore.Create(version, index, term, configuration, configurationIndex, transport)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &guardedSink{SnapshotSink: sink, store: s}, nil
}

// List implements raft.SnapshotStore.
func (s *guardedSnapshots) List() ([]*raft.SnapshotMeta, error) {
	if err := s.guard.Failed(); err != nil {
		return nil, err
	}
	list, err := s.SnapshotStore.List()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(list, func(m *raft.SnapshotMeta) bool { return s.unreadable[m.ID] }), err
}

// Open implements raft.SnapshotStore.
func (s *guardedSnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if err := s.guard.Failed(); err != nil {
		return nil, nil, err
	}
	meta, content, err := s.SnapshotStore.Open(id)
	if err != nil {
		s.mu.Lock()
		s.unreadable[id] = true
		s.mu.Unlock()
		select {
		case s.missing <- struct{}{}:
		default: // one will do
		}
	}
	return meta, content, err
}

// guardedSink is a snapshot being written.
type guardedSink struct {
	raft.SnapshotSink
	store *guardedSnapshots
}

// Write implements io.Writer.
func (k *guardedSink) Write(b []byte) (n int, err error) {
	err = k.store.guard.doSoft("writing a snapshot in", k.store.dir, func() (err error) {
		n, err = k.SnapshotSink.Write(b)
		return err
	})
	return n, err
}

// Close implements raft.SnapshotSink: from now on the snapshot exists.
func (k *guardedSink) Close() error {
	err := k.store.guard.doSoft("finishing a snapshot in", k.store.dir, k.SnapshotSink.Close)
	if err == nil {
		k.store.mu.Lock()
		delete(k.store.unreadable, k.ID()) // it is another one
		k.store.mu.Unlock()
		k.store.guard.snapshotted(nil)
	}
	return err
}
