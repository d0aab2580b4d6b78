package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// nothing is a state machine that keeps nothing.
type nothing struct{}

func (nothing) Apply(*raft.Log) any { return nil }

func (nothing) Restore(io.ReadCloser) error { return nil }

func (nothing) Snapshot() (raft.FSMSnapshot, error) { return nil, errors.New("not asked for here") }

// follower is Raft over a store, and who it takes for its leader.
type follower struct {
	t      *testing.T
	raft   *raft.Raft
	leader *raft.InmemTransport
	header raft.RPCHeader
}

var inConfiguration = raft.Configuration{Servers: []raft.Server{
	{ID: "leader", Address: "leader"}, {ID: "follower", Address: "follower"},
}}

const leadersTerm = 50 // above those of all entries

// follow runs f with Raft over s, which it closes.
func follow(t *testing.T, s *Store, f func(f *follower)) {
	t.Helper()
	conf := raft.DefaultConfig()
	conf.LocalID, conf.Logger = "follower", hclog.NewNullLogger()
	conf.HeartbeatTimeout, conf.ElectionTimeout, conf.LeaderLeaseTimeout = time.Hour, time.Hour, time.Hour
	_, trans := raft.NewInmemTransport("follower")
	_, leader := raft.NewInmemTransport("leader")
	leader.Connect("follower", trans)
	r, err := raft.NewRaft(conf, nothing{}, s.Log, s.Stable, s.Snapshots, trans)
	if err != nil {
		t.Fatal(errors.Join(err, s.Close()))
	}
	defer func() { must(t, errors.Join(r.Shutdown().Error(), s.Close())) }()
	f(&follower{t, r, leader, raft.RPCHeader{ProtocolVersion: 3, ID: []byte("leader"), Addr: []byte("leader")}})
}

// append sends the entries from first to last, which follow on term.
func (f *follower) append(term, first, last uint64) {
	f.t.Helper()
	req := &raft.AppendEntriesRequest{
		RPCHeader: f.header, Term: leadersTerm, PrevLogEntry: first - 1, PrevLogTerm: term, LeaderCommitIndex: last,
	}
	for i := first; i <= last; i++ {
		req.Entries = append(req.Entries, entry(i))
	}
	var resp raft.AppendEntriesResponse
	if err := f.leader.AppendEntries("follower", "follower", req, &resp); err != nil || !resp.Success {
		f.t.Errorf("entries %d to %d: %v, %+v", first, last, err, resp)
	}
}

// install sends a snapshot that ends at index.
func (f *follower) install(index uint64) {
	f.t.Helper()
	data := []byte("state")
	req := &raft.InstallSnapshotRequest{
		RPCHeader: f.header, SnapshotVersion: 1, Term: leadersTerm, LastLogIndex: index, LastLogTerm: entry(index).Term,
		Configuration: raft.EncodeConfiguration(inConfiguration), ConfigurationIndex: 1, Size: int64(len(data)),
	}
	var resp raft.InstallSnapshotResponse
	if err := f.leader.InstallSnapshot("follower", "follower", req, &resp, bytes.NewReader(data)); err != nil || !resp.Success {
		f.t.Errorf("snapshot of %d: %v, %+v", index, err, resp)
	}
}

// snapshot puts one that ends at index into s.
func snapshot(t *testing.T, s *Store, index uint64) {
	t.Helper()
	sink, err := s.Snapshots.Create(1, index, entry(index).Term, inConfiguration, 1, newTransport())
	must(t, err)
	_, err = fmt.Fprint(sink, "state")
	must(t, errors.Join(err, sink.Close()))
}

func newTransport() raft.Transport {
	_, trans := raft.NewInmemTransport("follower")
	return trans
}

func fill(t *testing.T, s *Store, first, last uint64) {
	t.Helper()
	for i := first; i <= last; i++ {
		must(t, s.Log.StoreLog(entry(i)))
	}
}

// A follower that was away until it needed a snapshot had the old entries, a hole,
// and the new ones. Its next start took that for damage.
func TestStore_HasNoHoleBehindAnInstalledSnapshot(t *testing.T) {
	everywhere(t, func(t *testing.T, again func() *Store) {
		s := again()
		fill(t, s, 1, 20)
		follow(t, s, func(f *follower) {
			f.install(100)
			f.append(entry(100).Term, 101, 110)
			wantLog(t, s, 101, 110)
		})
		s = again()
		follow(t, s, func(f *follower) { f.append(entry(110).Term, 111, 120) })
		s = again()
		wantLog(t, s, 101, 120)
		must(t, s.Close())
	})
}

// Killed when the snapshot was there and nothing behind it. A WAL then took no entry
// any more.
func TestStore_TakesEntriesAfterACrashWithinAnInstall(t *testing.T) {
	everywhere(t, func(t *testing.T, again func() *Store) {
		s := again()
		fill(t, s, 1, 20)
		snapshot(t, s, 100)
		must(t, s.Close())
		s = again()
		follow(t, s, func(f *follower) {
			if got := f.raft.LastIndex(); got != 100 {
				t.Errorf("last index %d, want 100", got)
			}
			f.append(entry(100).Term, 101, 110)
		})
		s = again()
		wantLog(t, s, 101, 110)
		must(t, s.Close())
	})
}

// The leader sends a snapshot to who has more than it, if the answer to an append
// was lost and the log is compacted meanwhile. Raft empties a log that calls itself
// monotonic, and from then on asked it for entries that it had: in vain.
func TestStore_KeepsWhatItHasBeyondAnInstalledSnapshot(t *testing.T) {
	everywhere(t, func(t *testing.T, again func() *Store) {
		s := again()
		fill(t, s, 1, 120)
		follow(t, s, func(f *follower) {
			f.install(100)
			wantLog(t, s, 1, 120)
			f.append(entry(100).Term, 101, 130)
		})
		s = again()
		wantLog(t, s, 1, 130)
		must(t, s.Close())
	})
}

func TestStore_RefusesAHoleThatNoSnapshotCovers(t *testing.T) {
	everywhere(t, func(t *testing.T, again func() *Store) {
		s := again()
		defer func() { must(t, s.Close()) }()
		fill(t, s, 1, 20)
		snapshot(t, s, 15)
		if err := s.Log.StoreLog(entry(22)); err == nil {
			t.Error("stored")
		}
		wantLog(t, s, 1, 20)
	})
}

// holed opens a directory whose log has first to last, and what from to to has
// behind a hole, as older binaries left them.
func holed(t *testing.T, dir string, first, last, from, to uint64, snapshots ...uint64) {
	t.Helper()
	s := open(t, dir, BoltDB)
	fill(t, s, first, last)
	for _, index := range snapshots {
		snapshot(t, s, index)
	}
	for i := from; i <= to; i++ {
		must(t, s.Stable.(*ballot).StableStore.(*guardedStable).stable.(*raftboltdb.BoltStore).StoreLog(entry(i)))
	}
	must(t, s.Close())
}

func TestOpen_RemovesWhatIsBelowAHoleThatASnapshotCovers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	holed(t, dir, 1, 20, 101, 110, 15, 100)
	for range 2 {
		s := open(t, dir, BoltDB)
		wantLog(t, s, 101, 110)
		must(t, s.Close())
	}
	s := open(t, dir, BoltDB)
	follow(t, s, func(f *follower) { f.append(entry(110).Term, 111, 120) })
}

func TestOpen_RefusesAHoleThatNoReadableSnapshotCovers(t *testing.T) {
	for _, c := range []struct {
		what   string
		newest uint64
		hurt   func(dir string) error
	}{
		{"it ends within the hole", 99, func(string) error { return nil }},
		{"it cannot be read", 100, func(dir string) error {
			all, err := filepath.Glob(filepath.Join(dir, "snapshots", "*-100-*", "state.bin"))
			if err != nil || len(all) != 1 {
				return fmt.Errorf("%v: %v", err, all)
			}
			return os.WriteFile(all[0], []byte("start"), 0o600)
		}},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		holed(t, dir, 1, 20, 101, 110, 15, c.newest)
		must(t, c.hurt(dir))
		before := files(t, dir)
		for range 2 {
			refuses(t, dir, "c1", BoltDB, "entry 100: log not found")
		}
		if diff := cmp.Diff(before, files(t, dir)); diff != "" {
			t.Errorf("%s: %s", c.what, diff)
		}
	}
}

// A log that parted from the leader's below an installed snapshot, and is longer
// than that, refuses every entry (raft#697), and did so after each start too.
func TestOpen_RemovesALogThatPartedBelowItsSnapshot(t *testing.T) {
	each(t, func(t *testing.T, kind LogStore) {
		dir := filepath.Join(t.TempDir(), "data")
		s := open(t, dir, kind)
		fill(t, s, 1, 80)
		for i := uint64(81); i <= 120; i++ {
			must(t, s.Log.StoreLog(&raft.Log{Index: i, Term: 9, Data: []byte("nobody else's")}))
		}
		follow(t, s, func(f *follower) { f.install(100) })
		s = open(t, dir, kind)
		wantLog(t, s, 0, 0)
		follow(t, s, func(f *follower) { f.append(entry(100).Term, 101, 110) })
	})
}

func TestOpen_KeepsALogBesideASnapshotThatCannotBeRead(t *testing.T) {
	each(t, func(t *testing.T, kind LogStore) {
		dir := filepath.Join(t.TempDir(), "data")
		s := open(t, dir, kind)
		fill(t, s, 1, 120)
		sink, err := s.Snapshots.Create(1, 100, 77, inConfiguration, 1, newTransport())
		must(t, err)
		must(t, errors.Join(sink.Close(), s.Close()))
		all, err := filepath.Glob(filepath.Join(dir, "snapshots", "*", "state.bin"))
		must(t, err)
		must(t, os.WriteFile(all[0], []byte("start"), 0o600))
		s = open(t, dir, kind)
		wantLog(t, s, 1, 120)
		must(t, s.Close())
	})
}

// The older of two snapshots is there for when the newest cannot be read. Two close
// to each other, or much written while one was taken, left it without its entries.
func TestStore_CompactionLeavesWhatTheOlderSnapshotNeeds(t *testing.T) {
	everywhere(t, func(t *testing.T, again func() *Store) {
		s := again()
		defer func() { must(t, s.Close()) }()
		fill(t, s, 1, 60)
		snapshot(t, s, 20)
		must(t, s.Log.DeleteRange(1, 19)) // one only: as Raft has it
		wantLog(t, s, 20, 60)
		snapshot(t, s, 40)
		must(t, s.Log.DeleteRange(20, 35))
		wantLog(t, s, 21, 60)
		must(t, s.Log.DeleteRange(21, 38))
		wantLog(t, s, 21, 60)
		snapshot(t, s, 50)
		must(t, s.Log.DeleteRange(21, 45))
		wantLog(t, s, 41, 60)
		must(t, s.Log.DeleteRange(55, 60)) // what another leader has otherwise
		wantLog(t, s, 41, 54)
	})
}
