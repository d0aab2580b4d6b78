package disk

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/hashicorp/raft"
)

var (
	errInUse = errors.New("the disk is in use")
	errBlank = errors.New("there is nothing yet to damage or to copy")
)

// FlipBits changes a byte of the log, term and vote included, or of the newest snapshot.
// Like all that follows it is for a disk that nobody has open.
func (m *Memory) FlipBits(p Part, chance *rand.Rand) error { return m.damage(p, chance, true) }

// Truncate loses the newest entries of the log, or the end of the newest snapshot.
func (m *Memory) Truncate(p Part, chance *rand.Rand) error { return m.damage(p, chance, false) }

func (m *Memory) damage(p Part, chance *rand.Rand, flip bool) error {
	return m.spoil(func() error {
		switch {
		case m.log == nil:
			return errBlank
		case p == Snapshots:
			return m.snaps.damage(chance, flip)
		case flip:
			return m.log.flip(chance)
		default:
			return m.log.truncate(chance)
		}
	})
}

// Wipe puts an empty disk in its place, with which nothing is wrong.
func (m *Memory) Wipe() error {
	return m.spoil(func() error {
		m.contents = contents{}
		return nil
	})
}

// Copy keeps what is on the disk. Restore puts it back, as often as one likes; what is
// wrong with the disk stays.
func (m *Memory) Copy() (restore func() error, err error) {
	var kept contents
	err = m.spoil(func() error {
		if m.log == nil {
			return errBlank
		}
		kept = m.clone(newFaults())
		return nil
	})
	return func() error {
		return m.spoil(func() error {
			f := newFaults()
			if m.log != nil {
				f = m.log.faults
			}
			m.contents = kept.clone(f)
			return nil
		})
	}, err
}

func (m *Memory) spoil(how func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open {
		return errInUse
	}
	return how()
}

// flip changes one record. They may be others' too: those of a copy, or of a node.
func (l *memoryLog) flip(chance *rand.Rand) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries)+len(l.values) == 0 {
		return errBlank
	}
	indexes, keys := slices.Sorted(maps.Keys(l.entries)), slices.Sorted(maps.Keys(l.values))
	i := chance.IntN(len(indexes) + len(keys))
	if i >= len(indexes) {
		key := keys[i-len(indexes)]
		l.values[key] = flipped(l.values[key], chance)
		return nil
	}
	e := l.entries[indexes[i]]
	switch field := chance.IntN(8); {
	case field == 0:
		e.Term ^= 1 << chance.IntN(64)
	case field == 1 || len(e.Data) == 0:
		e.Extensions = flipped(e.Extensions, chance)
	default:
		e.Data = flipped(e.Data, chance)
	}
	l.entries[indexes[i]] = e
	return nil
}

// truncate leaves last as it is, as the first pages of bbolt's file say how long it was.
func (l *memoryLog) truncate(chance *rand.Rand) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == 0 {
		return errBlank
	}
	from := l.first + chance.Uint64N(l.last-l.first+1)
	maps.DeleteFunc(l.entries, func(index uint64, _ raft.Log) bool { return index >= from })
	return nil
}

func (s *memorySnapshots) damage(chance *rand.Rand, flip bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) == 0 || len(s.kept[0].data) == 0 {
		return errBlank
	}
	newest := &s.kept[0]
	if flip {
		newest.data = flipped(newest.data, chance)
	} else {
		newest.data = newest.data[:chance.IntN(len(newest.data))]
	}
	return nil
}

// flipped is a copy in which one byte is another one.
func flipped(b []byte, chance *rand.Rand) []byte {
	b = bytes.Clone(b)
	if len(b) > 0 {
		b[chance.IntN(len(b))] ^= byte(1 + chance.IntN(255))
	}
	return b
}
