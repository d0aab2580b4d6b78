package disk

import (
	"io"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
)

func openMemory(t *testing.T, m *Memory) *Store {
	t.Helper()
	s, err := m.Open("c1")
	must(t, err)
	return s
}

func TestMemory_IsLockedWhileItIsOpen(t *testing.T) {
	m := new(Memory)
	s := openMemory(t, m)
	if _, err := m.Open("c1"); err == nil {
		t.Error("opened twice")
	}
	must(t, s.Close())
	if _, err := m.Open("c2"); err == nil {
		t.Error("opened by another server")
	}
	must(t, openMemory(t, m).Close())
}

func TestMemory_ShowsAfterPowerOffWhatWasWrittenBeforeAndNothingElse(t *testing.T) {
	m := new(Memory)
	write := func(s *Store, index uint64) {
		t.Helper()
		r := s.Identity.Load()
		r.ClusterID = string(rune('a' + index))
		must(t, s.Identity.Save(r))
		must(t, s.Log.StoreLog(&raft.Log{Index: index, Term: 1}))
		must(t, s.Stable.SetUint64([]byte("term"), index))
		must(t, s.Stable.Set([]byte("vote"), []byte{byte(index)}))
		takeSnapshot(t, s, index)
	}
	type content struct {
		Cluster    string
		Last, Term uint64
		Vote       []byte
		Snapshots  int
	}
	read := func(s *Store) content {
		t.Helper()
		last, err := s.Log.LastIndex()
		must(t, err)
		term, err := s.Stable.GetUint64([]byte("term"))
		must(t, err)
		vote, err := s.Stable.Get([]byte("vote"))
		must(t, err)
		snaps, err := s.Snapshots.List()
		must(t, err)
		return content{s.Identity.Load().ClusterID, last, term, vote, len(snaps)}
	}
	old := openMemory(t, m)
	write(old, 1)
	m.PowerOff()
	s := openMemory(t, m)
	write(old, 2) // the dying process
	must(t, old.Close())
	if diff := cmp.Diff(content{"b", 1, 1, []byte{1}, 1}, read(s)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(content{"c", 2, 2, []byte{2}, 2}, read(old)); diff != "" { // or Raft would panic in it
		t.Error(diff)
	}
	if _, err := m.Open("c1"); err == nil {
		t.Error("the old process's Close unlocked the new one's disk")
	}
}

func TestMemory_StallHoldsEntriesUntilResumeOrPowerOff(t *testing.T) {
	for what, lost := range map[string]bool{"resume": false, "power off": true} {
		synctest.Test(t, func(t *testing.T) {
			m := new(Memory)
			s := openMemory(t, m)
			must(t, s.Log.StoreLog(entry(1)))
			resume, ok := m.Stall(Log)
			if _, again := m.Stall(Log); !ok || again {
				t.Fatalf("stalled %v, again %v", ok, again)
			}
			stored := false
			go func() {
				if err := s.Log.StoreLog(entry(2)); err != nil {
					t.Error(err)
				}
				stored = true
			}()
			synctest.Wait() // durably blocked: the bubble's time could go on
			if stored {
				t.Error("stored while stalled")
			}
			wantLog(t, s, 1, 1) // reads, and the stable store, work
			must(t, s.Stable.SetUint64([]byte("term"), 1))
			end, last := resume, uint64(2)
			if lost {
				end, last = m.PowerOff, 1
			}
			end()
			synctest.Wait()
			if !stored {
				t.Errorf("still stalled after %s", what)
			}
			if lost {
				s = openMemory(t, m)
			}
			wantLog(t, s, 1, last)
			resume() // changes nothing any more
			must(t, s.Log.StoreLog(entry(last+1)))
		})
	}
}

func TestMemory_PowerOffEndsTheStallOfADiskThatNobodyHasOpen(t *testing.T) {
	m := new(Memory)
	if _, ok := m.Stall(Log); ok {
		t.Error("stalled what was never made")
	}
	must(t, openMemory(t, m).Close())
	if _, ok := m.Stall(Log); !ok {
		t.Error("not stalled")
	}
	m.PowerOff()
	must(t, openMemory(t, m).Log.StoreLog(entry(1)))
}

func takeSnapshot(t *testing.T, s *Store, index uint64) {
	t.Helper()
	sink, err := s.Snapshots.Create(1, index, 1, raft.Configuration{}, 0, nil)
	must(t, err)
	_, err = sink.Write([]byte("state"))
	must(t, err)
	must(t, sink.Close())
}

func TestMemorySnapshots_ExistOnlyOnceTheyAreWhole(t *testing.T) {
	s := openMemory(t, new(Memory))
	sink, err := s.Snapshots.Create(1, 7, 1, raft.Configuration{}, 0, nil)
	must(t, err)
	_, err = sink.Write([]byte("state"))
	must(t, err)
	if list, _ := s.Snapshots.List(); len(list) != 0 {
		t.Errorf("one that is being written is shown: %v", list)
	}
	must(t, sink.Close())
	must(t, sink.Cancel()) // changes nothing any more
	meta, r, err := s.Snapshots.Open(sink.ID())
	must(t, err)
	if data, err := io.ReadAll(r); err != nil || string(data) != "state" || meta.Size != 5 || meta.Index != 7 {
		t.Errorf("%v %q %+v", err, data, meta)
	}
	cancelled, err := s.Snapshots.Create(1, 8, 1, raft.Configuration{}, 0, nil)
	must(t, err)
	must(t, cancelled.Cancel())
	must(t, cancelled.Close())
	if list, _ := s.Snapshots.List(); len(list) != 1 {
		t.Errorf("%v", list)
	}
}

func TestMemorySnapshots_KeepTheNewest(t *testing.T) {
	s := openMemory(t, new(Memory))
	for _, index := range []uint64{5, 9, 7, 9} {
		takeSnapshot(t, s, index)
	}
	list, err := s.Snapshots.List()
	must(t, err)
	var got []uint64
	for _, meta := range list {
		got = append(got, meta.Index)
	}
	if diff := cmp.Diff([]uint64{9, 7}, got); diff != "" {
		t.Error(diff)
	}
}
