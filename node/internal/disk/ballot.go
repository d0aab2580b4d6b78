package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"

	"github.com/hashicorp/raft"
)

// Raft's keys.
const (
	currentTerm  = "CurrentTerm"
	lastVoteTerm = "LastVoteTerm"
	lastVoteCand = "LastVoteCand"
)

// ballotKey is where they are together.
var ballotKey = []byte("term and vote")

// ballot keeps Raft's term and vote as one record. Raft writes a vote in two pieces,
// first its term and then for whom; a crash between them leaves a node that believes
// it voted in the new term for the candidate of an old one (raft#661). One record is
// also one fsync in place of two, and has a checksum, which a page of bbolt has not.
//
// A directory of an older binary has the three pieces; they are read, and never written
// again. So an older binary must not open it any more: see identity.Format.
type ballot struct {
	raft.StableStore // for all other keys, and the record

	mu  sync.Mutex // guards what follows
	now votes
	// pending is the term of a vote whose candidate is still to come.
	pending uint64
}

// votes is the content of the record.
type votes struct {
	term, voteTerm uint64
	candidate      []byte // nil: nobody yet
}

// openBallot reads the record, or what an older binary left, from store.
func openBallot(store raft.StableStore) (*ballot, error) {
	b := &ballot{StableStore: store}
	record, err := found(store.Get(ballotKey))
	if err != nil {
		return nil, fmt.Errorf("read term and vote: %w", err)
	}
	if record != nil {
		b.now, err = decodeVotes(record)
		return b, err
	}
	var errs [3]error
	b.now.term, errs[0] = found(store.GetUint64([]byte(currentTerm)))
	b.now.voteTerm, errs[1] = found(store.GetUint64([]byte(lastVoteTerm)))
	b.now.candidate, errs[2] = found(store.Get([]byte(lastVoteCand)))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("read term and vote: %w", err)
	}
	return b, nil
}

// found makes no error of a key that is not there.
func found[T any](value T, err error) (T, error) {
	if err != nil && err.Error() == "not found" {
		err = nil
	}
	return value, err
}

// SetUint64 implements raft.StableStore.
func (b *ballot) SetUint64(key []byte, value uint64) error {
	switch string(key) {
	case currentTerm:
		return b.write(func(v *votes) { v.term = value })
	case lastVoteTerm:
		b.mu.Lock()
		defer b.mu.Unlock()
		b.pending = value
		return nil
	}
	return b.StableStore.SetUint64(key, value)
}

// Set implements raft.StableStore.
func (b *ballot) Set(key, value []byte) error {
	if string(key) == lastVoteCand {
		return b.write(func(v *votes) { v.voteTerm, v.candidate = b.pending, slices.Clone(value) })
	}
	return b.StableStore.Set(key, value)
}

// write is called by one goroutine, Raft's main loop, and may never return: then
// nothing has changed here, and nobody must wait for the lock.
func (b *ballot) write(change func(*votes)) error {
	b.mu.Lock()
	next := b.now
	change(&next)
	b.mu.Unlock()
	if err := b.StableStore.Set(ballotKey, next.encode()); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = next
	return nil
}

// GetUint64 implements raft.StableStore. 0 is no term.
func (b *ballot) GetUint64(key []byte) (uint64, error) {
	b.mu.Lock()
	now := b.now
	b.mu.Unlock()
	switch string(key) {
	case currentTerm:
		return now.term, nil
	case lastVoteTerm:
		return now.voteTerm, nil
	}
	return b.StableStore.GetUint64(key)
}

// Get implements raft.StableStore.
func (b *ballot) Get(key []byte) ([]byte, error) {
	if string(key) == lastVoteCand {
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.Clone(b.now.candidate), nil
	}
	return b.StableStore.Get(key)
}

const votesVersion = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode gives version, the two terms, the candidate (a byte says if there is one) and
// a checksum.
func (v votes) encode() []byte {
	b := []byte{votesVersion}
	b = binary.BigEndian.AppendUint64(b, v.term)
	b = binary.BigEndian.AppendUint64(b, v.voteTerm)
	if v.candidate == nil {
		b = append(b, 0)
	} else {
		b = append(append(b, 1), v.candidate...)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeVotes(b []byte) (v votes, err error) {
	const head, sum = 1 + 8 + 8 + 1, 4
	if len(b) < head+sum || crc32.Checksum(b[:len(b)-sum], castagnoli) != binary.BigEndian.Uint32(b[len(b)-sum:]) {
		return v, fmt.Errorf("%w: term and vote do not match their checksum", errLogDamaged)
	}
	if b[0] != votesVersion {
		return v, fmt.Errorf("%w: term and vote are of version %d", errLogDamaged, b[0])
	}
	v.term, v.voteTerm = binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint64(b[9:])
	if b[17] == 1 {
		v.candidate = append([]byte{}, b[head:len(b)-sum]...)
	}
	return v, nil
}
