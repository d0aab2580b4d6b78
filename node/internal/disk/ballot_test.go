package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
)

// ofRaft is what Raft reads.
func ofRaft(t *testing.T, s raft.StableStore) string {
	t.Helper()
	var errs [3]error
	var term, voteTerm uint64
	var candidate []byte
	term, errs[0] = found(s.GetUint64([]byte(currentTerm)))
	voteTerm, errs[1] = found(s.GetUint64([]byte(lastVoteTerm)))
	candidate, errs[2] = found(s.Get([]byte(lastVoteCand)))
	must(t, errors.Join(errs[:]...))
	return fmt.Sprintf("term %d, voted in %d for %q (%v)", term, voteTerm, candidate, candidate != nil)
}

// vote is what Raft writes.
func vote(t *testing.T, s raft.StableStore, term uint64, candidate string) {
	t.Helper()
	must(t, s.SetUint64([]byte(currentTerm), term))
	must(t, s.SetUint64([]byte(lastVoteTerm), term))
	must(t, s.Set([]byte(lastVoteCand), []byte(candidate)))
}

func TestBallot_KeepsWhatRaftWrites(t *testing.T) {
	each(t, func(t *testing.T, kind LogStore) {
		dir := filepath.Join(t.TempDir(), "data")
		s := open(t, dir, kind)
		wants := func(want string) {
			t.Helper()
			if diff := cmp.Diff(want, ofRaft(t, s.Stable)); diff != "" {
				t.Error(diff)
			}
			must(t, s.Close())
			s = open(t, dir, kind)
			if diff := cmp.Diff(want, ofRaft(t, s.Stable)); diff != "" {
				t.Errorf("opened again: %s", diff)
			}
		}
		wants(`term 0, voted in 0 for "" (false)`)
		must(t, s.Stable.SetUint64([]byte(currentTerm), 3))
		wants(`term 3, voted in 0 for "" (false)`)
		vote(t, s.Stable, 4, "a")
		wants(`term 4, voted in 4 for "a" (true)`)
		must(t, s.Stable.SetUint64([]byte(currentTerm), 5))
		wants(`term 5, voted in 4 for "a" (true)`)
		must(t, s.Close())
	})
}

// Raft 661: the term of the new vote was there, with the candidate of the old one.
func TestBallot_CrashBetweenTheTwoPiecesOfAVoteLeavesTheOldOne(t *testing.T) {
	m := new(Memory)
	s := openMemory(t, m)
	vote(t, s.Stable, 4, "a")
	must(t, s.Stable.SetUint64([]byte(currentTerm), 5))
	must(t, s.Stable.SetUint64([]byte(lastVoteTerm), 5))
	m.PowerOff()
	if got, want := ofRaft(t, openMemory(t, m).Stable), `term 5, voted in 4 for "a" (true)`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// What could not be written is not what Raft reads afterwards.
func TestBallot_FailedWriteChangesNothing(t *testing.T) {
	m := new(Memory)
	s := openMemory(t, m)
	vote(t, s.Stable, 4, "a")
	m.Fail(syscall.EIO, Stable)
	if err := s.Stable.SetUint64([]byte(currentTerm), 5); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	if got, want := ofRaft(t, s.Stable), `term 4, voted in 4 for "a" (true)`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A directory of the binaries before has three keys. The format is raised before
// anything is written to the one.
func TestBallot_TakesOverWhatAnOlderBinaryLeft(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	must(t, open(t, dir, BoltDB).Close())
	path := filepath.Join(dir, identityFile)
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, []byte(strings.Replace(string(b), `"format": 3`, `"format": 1`, 1)), 0o600))
	db, err := openBolt(t.Context(), filepath.Join(dir, logFile), openWritten)
	must(t, err)
	vote(t, db, 7, "old")
	must(t, db.Close())

	s := open(t, dir, BoltDB)
	want := `term 7, voted in 7 for "old" (true)`
	if got := ofRaft(t, s.Stable); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if b, err = os.ReadFile(path); err != nil || !strings.Contains(string(b), `"format": 3`) {
		t.Errorf("%v: %s", err, b)
	}
	vote(t, s.Stable, 8, "new")
	must(t, s.Close())
	s = open(t, dir, BoltDB)
	if got, want := ofRaft(t, s.Stable), `term 8, voted in 8 for "new" (true)`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	must(t, s.Close())
}

func TestBallot_DamagedRecordIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, dir, BoltDB)
	vote(t, s.Stable, 4, "a")
	must(t, s.Close())
	good := votes{term: 4, voteTerm: 4, candidate: []byte("a")}.encode()
	for i := range good {
		bad := append([]byte{}, good...)
		bad[i] ^= 0x10
		if v, err := decodeVotes(bad); !errors.Is(err, errLogDamaged) {
			t.Errorf("byte %d: %+v, %v", i, v, err)
		}
		if v, err := decodeVotes(good[:i]); !errors.Is(err, errLogDamaged) {
			t.Errorf("%d bytes: %+v, %v", i, v, err)
		}
	}
	db, err := openBolt(t.Context(), filepath.Join(dir, logFile), openWritten)
	must(t, err)
	must(t, db.Set(ballotKey, good[:5]))
	must(t, db.Close())
	refuses(t, dir, "c1", BoltDB, "is damaged")
}
