package disk

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/hashicorp/raft"
)

// memorySnapshots keeps the newest snapshots that are whole. (Raft's own in-memory
// store shows a snapshot as soon as it is begun, and hands out its bytes while
// they are being written.)
type memorySnapshots struct {
	faults *faults

	mu   sync.Mutex // guards kept
	kept []memorySnapshot
}

// memorySnapshot is never changed once it is kept.
type memorySnapshot struct {
	meta raft.SnapshotMeta
	data []byte
	sum  uint32 // of data, when it was written
}

func (s *memorySnapshots) clone(f *faults) *memorySnapshots {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &memorySnapshots{faults: f, kept: slices.Clone(s.kept)}
}

// Create implements raft.SnapshotStore.
func (s *memorySnapshots) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration,
	configurationIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	if version != 1 {
		return nil, fmt.Errorf("unsupported snapshot version %d", version)
	}
	if err := s.faults.meet(Snapshots); err != nil {
		return nil, err
	}
	return &memorySink{store: s, meta: raft.SnapshotMeta{
		Version: version, ID: fmt.Sprintf("%d-%d", term, index), Index: index, Term: term,
		Configuration: configuration, ConfigurationIndex: configurationIndex,
	}}, nil
}

// List implements raft.SnapshotStore: the newest first.
func (s *memorySnapshots) List() ([]*raft.SnapshotMeta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*raft.SnapshotMeta
	for _, k := range s.kept {
		meta := k.meta
		list = append(list, &meta)
	}
	return list, nil
}

// Open implements raft.SnapshotStore.
func (s *memorySnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.kept {
		if k.meta.ID == id {
			if crc32.Checksum(k.data, castagnoli) != k.sum {
				return nil, nil, errors.New("CRC mismatch") // as Raft's own files say
			}
			return &k.meta, io.NopCloser(bytes.NewReader(k.data)), nil
		}
	}
	return nil, nil, fmt.Errorf("no snapshot %s", id)
}

func (s *memorySnapshots) keep(n memorySnapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := []memorySnapshot{n}
	for _, k := range s.kept {
		if k.meta.ID != n.meta.ID {
			kept = append(kept, k)
		}
	}
	slices.SortStableFunc(kept, func(a, b memorySnapshot) int {
		return cmp.Or(cmp.Compare(b.meta.Term, a.meta.Term), cmp.Compare(b.meta.Index, a.meta.Index))
	})
	s.kept = slices.Clip(kept[:min(len(kept), retainSnapshots)])
}

// memorySink is a snapshot being written, by one goroutine.
type memorySink struct {
	store *memorySnapshots
	meta  raft.SnapshotMeta
	data  bytes.Buffer
	ended bool
}

// ID implements raft.SnapshotSink.
func (k *memorySink) ID() string { return k.meta.ID }

// Write implements raft.SnapshotSink.
func (k *memorySink) Write(b []byte) (int, error) {
	if k.ended {
		return 0, errors.New("write to a snapshot that has ended")
	}
	if err := k.store.faults.meet(Snapshots); err != nil {
		return 0, err
	}
	return k.data.Write(b)
}

// Close implements raft.SnapshotSink: from now on the snapshot exists.
func (k *memorySink) Close() error {
	if k.ended {
		return nil
	}
	k.meta.Size = int64(k.data.Len())
	whole := memorySnapshot{meta: k.meta, data: k.data.Bytes(), sum: crc32.Checksum(k.data.Bytes(), castagnoli)}
	err := k.store.faults.sync(Snapshots, func(_ *memoryLog, s *memorySnapshots, r *rand.Rand) {
		if r.IntN(2) == 1 {
			s.keep(whole)
		}
	})
	if err != nil {
		return err
	}
	k.ended = true
	k.store.keep(whole)
	return nil
}

// Cancel implements raft.SnapshotSink. After Close it does nothing.
func (k *memorySink) Cancel() error {
	k.ended = true
	return nil
}
