package disk

import (
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

func chance(seed int) *rand.Rand { return rand.New(rand.NewPCG(uint64(seed), 0)) }

// written is a closed disk with ten entries, a vote, and snapshots of 3 and 6.
func written(t *testing.T) *Memory {
	t.Helper()
	m := new(Memory)
	s := openMemory(t, m)
	for i := range uint64(10) {
		must(t, s.Log.StoreLog(&raft.Log{Index: i + 1, Term: 1, Data: []byte("entry")}))
	}
	vote(t, s.Stable, 1, "a")
	takeSnapshot(t, s, 3)
	takeSnapshot(t, s, 6)
	must(t, s.Close())
	return m
}

func TestMemory_RefusesADamagedLogAsFilesDo(t *testing.T) {
	for what, hurt := range map[string]func(*Memory, int) error{
		"bits":       func(m *Memory, i int) error { return m.FlipBits(Log, chance(i)) },
		"truncation": func(m *Memory, i int) error { return m.Truncate(Log, chance(i)) },
	} {
		for i := range 100 {
			m := written(t)
			must(t, hurt(m, i))
			_, err := m.Open("c1")
			if err == nil || !strings.Contains(err.Error(), "is damaged") || !strings.Contains(err.Error(), "start as a new node") {
				t.Fatalf("%s, seed %d: %v", what, i, err)
			}
			must(t, m.Wipe()) // it is not in use
			must(t, openMemory(t, m).Close())
		}
	}
}

func TestMemory_ADamagedSnapshotCannotBeRead(t *testing.T) {
	for what, hurt := range map[string]func(*Memory, int) error{
		"bits":       func(m *Memory, i int) error { return m.FlipBits(Snapshots, chance(i)) },
		"truncation": func(m *Memory, i int) error { return m.Truncate(Snapshots, chance(i)) },
	} {
		for i := range 20 {
			m := written(t)
			must(t, hurt(m, i))
			s := openMemory(t, m)
			list, err := s.Snapshots.List()
			must(t, err)
			if len(list) != 2 || list[0].Index != 6 {
				t.Fatalf("%+v", list)
			}
			if _, _, err := s.Snapshots.Open(list[0].ID); err == nil {
				t.Errorf("%s, seed %d: the newest can be read", what, i)
			}
			_, r, err := s.Snapshots.Open(list[1].ID)
			must(t, err)
			if b, err := io.ReadAll(r); err != nil || string(b) != "state" {
				t.Errorf("the older one: %q, %v", b, err)
			}
		}
	}
}

func TestMemory_WhatIsInUseOrNotThereIsNotSpoilt(t *testing.T) {
	m := new(Memory)
	if err := m.FlipBits(Log, chance(1)); !errors.Is(err, errBlank) {
		t.Error(err)
	}
	if _, err := m.Copy(); !errors.Is(err, errBlank) {
		t.Error(err)
	}
	s := openMemory(t, m)
	for what, spoil := range map[string]func() error{
		"bits":       func() error { return m.FlipBits(Log, chance(1)) },
		"truncation": func() error { return m.Truncate(Snapshots, chance(1)) },
		"wipe":       m.Wipe,
		"copy":       func() error { _, err := m.Copy(); return err },
	} {
		if err := spoil(); !errors.Is(err, errInUse) {
			t.Errorf("%s: %v", what, err)
		}
	}
	must(t, s.Close())
	if err := m.Truncate(Snapshots, chance(1)); !errors.Is(err, errBlank) {
		t.Error(err)
	}
}

func TestMemory_WipeMakesItNobodys(t *testing.T) {
	m := written(t)
	old := openMemory(t, m)
	before := old.Identity.Load().NodeID
	must(t, old.Close())
	must(t, m.Wipe())
	s, err := m.Open("another")
	must(t, err)
	wantLog(t, s, 0, 0)
	if s.Identity.Load().NodeID == before {
		t.Error("it has the node id of before")
	}
}

func TestMemory_RestorePutsBackWhatWasCopied(t *testing.T) {
	m := written(t)
	restore, err := m.Copy()
	must(t, err)
	for range 2 { // as often as one likes
		s := openMemory(t, m)
		id := s.Identity.Load().NodeID
		must(t, s.Log.StoreLog(&raft.Log{Index: 11, Term: 1}))
		vote(t, s.Stable, 9, "b")
		takeSnapshot(t, s, 11)
		if err := restore(); !errors.Is(err, errInUse) {
			t.Error(err)
		}
		must(t, s.Close())
		must(t, m.FlipBits(Log, chance(1)))
		must(t, restore())
		s = openMemory(t, m)
		last, err := s.Log.LastIndex()
		must(t, err)
		list, err := s.Snapshots.List()
		must(t, err)
		if last != 10 || list[0].Index != 6 || s.Identity.Load().NodeID != id {
			t.Errorf("the log ends at %d, the snapshots are %v, the node %s was %s", last, list, s.Identity.Load().NodeID, id)
		}
		if got, want := ofRaft(t, s.Stable), `term 1, voted in 1 for "a" (true)`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		must(t, s.Close())
		must(t, m.Wipe())
		must(t, restore())
	}
}

func TestMemory_SlowWritesTakeTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(Memory)
		s := openMemory(t, m)
		m.Slow(time.Second)
		takes := func(what string, want time.Duration, call func()) {
			t.Helper()
			begun := time.Now()
			call()
			if d := time.Since(begun); d != want {
				t.Errorf("%s took %v, want %v", what, d, want)
			}
		}
		takes("an entry", time.Second, func() { must(t, s.Log.StoreLog(entry(1))) })
		takes("reading it", 0, func() { wantLog(t, s, 1, 1) })
		takes("a term", time.Second, func() { must(t, s.Stable.SetUint64([]byte(currentTerm), 5)) })
		takes("a snapshot", time.Second, func() { takeSnapshot(t, s, 1) })
		takes("a compaction", time.Second, func() { must(t, s.Log.DeleteRange(1, 1)) })
		old := s
		m.PowerOff()
		takes("what nobody will read", 0, func() { must(t, old.Log.StoreLog(entry(2))) })
		s = openMemory(t, m)
		takes("an entry of the next process", time.Second, func() { must(t, s.Log.StoreLog(entry(2))) })
		m.Slow(0)
		takes("an entry after that", 0, func() { must(t, s.Log.StoreLog(entry(3))) })
	})
}

// What was answered for is there. Of what was not, any beginning may be, and what a file has to be
// whole for is there or not.
func TestMemory_CutPowerLeavesToChanceWhatWasNotAnswered(t *testing.T) {
	entries, votes, snapshots := make(map[uint64]int), make(map[string]int), make(map[int]int)
	for seed := range 200 {
		synctest.Test(t, func(t *testing.T) {
			m := new(Memory)
			s := openMemory(t, m)
			must(t, s.Log.StoreLog(entry(1)))
			vote(t, s.Stable, 1, "a")
			m.Slow(time.Second)
			go func() { must(t, s.Log.StoreLogs([]*raft.Log{entry(2), entry(3)})) }()
			go func() { must(t, s.Stable.SetUint64([]byte(currentTerm), 2)) }()
			go takeSnapshot(t, s, 1)
			synctest.Wait()
			m.CutPower(chance(seed))
			synctest.Wait()
			m.Slow(0)
			s = openMemory(t, m)
			last, err := s.Log.LastIndex()
			must(t, err)
			wantLog(t, s, 1, last)
			list, err := s.Snapshots.List()
			must(t, err)
			entries[last]++
			votes[ofRaft(t, s.Stable)]++
			snapshots[len(list)]++
		})
	}
	if len(entries) != 3 || len(votes) != 2 || len(snapshots) != 2 {
		t.Errorf("last entries %v, votes %v, snapshots %v", entries, votes, snapshots)
	}
}

func TestMemory_CutPowerIsAsTheSeedSays(t *testing.T) {
	lasts := func() (all []uint64) {
		r := chance(7)
		for range 50 {
			synctest.Test(t, func(t *testing.T) {
				m := new(Memory)
				s := openMemory(t, m)
				m.Slow(time.Second)
				go func() { must(t, s.Log.StoreLogs([]*raft.Log{entry(1), entry(2), entry(3)})) }()
				synctest.Wait()
				m.CutPower(r)
				last, err := openMemory(t, m).Log.LastIndex()
				must(t, err)
				all = append(all, last)
			})
		}
		return all
	}
	first, again := lasts(), lasts()
	for i := range first {
		if first[i] != again[i] {
			t.Fatalf("%v, and again %v", first, again)
		}
	}
}
