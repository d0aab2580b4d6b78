package disk

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/cluster"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var kinds = []LogStore{BoltDB, WAL}

// each runs a test over all kinds of log that are in files.
func each(t *testing.T, test func(t *testing.T, kind LogStore)) {
	t.Helper()
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) { test(t, kind) })
	}
}

func open(t *testing.T, dir string, kind LogStore) *Store {
	t.Helper()
	s, err := Open(context.Background(), dir, "c1", kind, hclog.NewNullLogger())
	must(t, err)
	return s
}

// belongs gives the directory a cluster and a log.
func belongs(t *testing.T, dir string, kind LogStore) cluster.Record {
	t.Helper()
	s := open(t, dir, kind)
	r := s.Identity.Load()
	r.ClusterID = "3b241101-e2bb-4255-8caf-4136c566a962"
	must(t, s.Identity.Save(r))
	must(t, s.Log.StoreLog(&raft.Log{Index: 1, Term: 1, Data: []byte("x")}))
	must(t, s.Close())
	return r
}

// entries is the file that holds the newest entries.
func entries(t *testing.T, dir string, kind LogStore) string {
	t.Helper()
	if kind == BoltDB {
		return filepath.Join(dir, logFile)
	}
	all, err := filepath.Glob(filepath.Join(dir, walDir, "*.wal"))
	must(t, err)
	if len(all) == 0 {
		t.Fatal("no segment")
	}
	return all[len(all)-1]
}

func refuses(t *testing.T, dir, sid string, kind LogStore, want string) {
	t.Helper()
	s, err := Open(context.Background(), dir, sid, kind, hclog.NewNullLogger())
	if err == nil {
		_ = s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("open: %v; want %q", err, want)
	}
}

func TestOpen_KeepsTheIdentityAndTheLog(t *testing.T) {
	each(t, func(t *testing.T, kind LogStore) {
		dir := filepath.Join(t.TempDir(), "data")
		want := belongs(t, dir, kind)
		s := open(t, dir, kind)
		defer func() { must(t, s.Close()) }()
		if diff := cmp.Diff(want, s.Identity.Load()); diff != "" {
			t.Error(diff)
		}
		var l raft.Log
		if err := s.Log.GetLog(1, &l); err != nil || string(l.Data) != "x" || !s.Durable {
			t.Errorf("%v %+v", err, l)
		}
	})
}

func TestOpen_RefusesADirectoryThatIsNotThisServers(t *testing.T) {
	each(t, func(t *testing.T, kind LogStore) {
		dir := filepath.Join(t.TempDir(), "data")
		belongs(t, dir, kind)
		refuses(t, dir, "c2", kind, `belongs to server "c1", not "c2"`)
		s := open(t, dir, kind)
		refuses(t, dir, "c1", kind, "in use by another process")
		must(t, s.Close())
	})
}

func TestOpen_RefusesTheOtherLogStoreAndNamesTheWaysOut(t *testing.T) {
	for kind, other := range map[LogStore]LogStore{BoltDB: WAL, WAL: BoltDB} {
		dir := filepath.Join(t.TempDir(), "data")
		must(t, open(t, dir, kind).Close()) // it never voted, but it says what it is
		before := files(t, dir)
		refuses(t, dir, "c1", other, "its log in "+string(kind)+", not in "+string(other)+": start with that log store (--log-store "+string(kind)+"), or delete all")
		if diff := cmp.Diff(before, files(t, dir)); diff != "" {
			t.Error(diff)
		}
		must(t, open(t, dir, kind).Close())
	}
}

// What older binaries make of a directory follows from its format: one that knows
// no WAL must not take it for an empty log of its own, and one that looks for its vote
// where it no longer is must not vote again.
func TestOpen_NewDirectoryHasAFormatThatOlderBinariesRefuse(t *testing.T) {
	for kind, want := range map[LogStore]string{BoltDB: `"format": 3,`, WAL: `"format": 3,`} {
		dir := filepath.Join(t.TempDir(), "data")
		belongs(t, dir, kind)
		b, err := os.ReadFile(filepath.Join(dir, identityFile))
		must(t, err)
		if !strings.Contains(string(b), want) || strings.Contains(string(b), "log_store") != (kind == WAL) {
			t.Errorf("%s: %s", kind, b)
		}
	}
}

func TestOpen_WaitsForTheLockNoLongerThanItsContext(t *testing.T) {
	each(t, waitsForTheLock)
}

func waitsForTheLock(t *testing.T, kind LogStore) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, dir, kind)
	gaveUp := errors.New("gave up")
	for _, c := range []struct {
		what string
		wait func() (context.Context, context.CancelFunc)
		want error
	}{
		{"deadline", func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), 50*time.Millisecond)
		}, context.DeadlineExceeded},
		{"cancelled while it waits", func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(t.Context())
			timer := time.AfterFunc(50*time.Millisecond, func() { cancel(gaveUp) })
			return ctx, func() { timer.Stop(); cancel(nil) }
		}, gaveUp},
	} {
		ctx, cancel := c.wait()
		start := time.Now()
		_, err := Open(ctx, dir, "c1", kind, hclog.NewNullLogger())
		cancel()
		if took := time.Since(start); !errors.Is(err, c.want) || !strings.Contains(err.Error(), "in use by another process") || took >= lockTimeout {
			t.Errorf("%s: %v after %v", c.what, err, took)
		}
	}
	freed := time.AfterFunc(100*time.Millisecond, func() { _ = s.Close() })
	defer freed.Stop()
	next, err := Open(t.Context(), dir, "c1", kind, hclog.NewNullLogger())
	must(t, err)
	must(t, next.Close())
}

func TestOpen_AnEndedContextMakesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := Open(ctx, dir, "c1", BoltDB, hclog.NewNullLogger()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory: %v", err)
	}
}

func TestOpen_RefusesAMissingParentAndAFile(t *testing.T) {
	each(t, func(t *testing.T, kind LogStore) {
		dir := t.TempDir()
		refuses(t, filepath.Join(dir, "missing", "data"), "c1", kind, "parent does not exist")
		file := filepath.Join(dir, "file")
		must(t, os.WriteFile(file, nil, 0o600))
		refuses(t, file, "c1", kind, "not a directory")
	})
}

func TestOpen_RefusesHalfADirectory(t *testing.T) {
	each(t, func(t *testing.T, kind LogStore) {
		parent := t.TempDir()
		noLog := filepath.Join(parent, "no-log")
		belongs(t, noLog, kind)
		must(t, os.Remove(filepath.Join(noLog, logFile)))
		refuses(t, noLog, "c1", kind, "has lost its log")

		noIdentity := filepath.Join(parent, "no-identity")
		belongs(t, noIdentity, kind)
		must(t, os.Remove(filepath.Join(noIdentity, identityFile)))
		refuses(t, noIdentity, "c1", kind, "has a log but no "+identityFile)
	})
}

func TestOpen_RefusesEveryStartOfAVoterThatLostItsLog(t *testing.T) {
	each(t, func(t *testing.T, kind LogStore) {
		for _, c := range []struct {
			what string
			lose func(log string) error
		}{
			{"deleted", os.Remove},
			{"emptied", func(log string) error { return os.Truncate(log, 0) }},
		} {
			t.Run(c.what, func(t *testing.T) { refusedUntilRestored(t, kind, c.lose) })
		}
	})
}

func refusedUntilRestored(t *testing.T, kind LogStore, lose func(log string) error) {
	dir := filepath.Join(t.TempDir(), "data")
	want := belongs(t, dir, kind)
	log := entries(t, dir, kind)
	backup, err := os.ReadFile(log)
	must(t, err)
	must(t, lose(log))
	before := files(t, dir)
	for range 3 {
		refuses(t, dir, "c1", kind, "has lost its log")
	}
	if diff := cmp.Diff(before, files(t, dir)); diff != "" {
		t.Error(diff)
	}
	must(t, os.WriteFile(log, backup, 0o600)) // the way out that the message names
	s := open(t, dir, kind)
	defer func() { must(t, s.Close()) }()
	if diff := cmp.Diff(want, s.Identity.Load()); diff != "" {
		t.Error(diff)
	}
}

func TestOpen_RefusesAFounderThatLostItsLog(t *testing.T) {
	each(t, func(t *testing.T, kind LogStore) {
		dir := filepath.Join(t.TempDir(), "data")
		s := open(t, dir, kind)
		r := s.Identity.Load()
		r.Promise = &cluster.Proposal{ClusterID: "3b241101-e2bb-4255-8caf-4136c566a962"}
		must(t, s.Identity.Save(r))
		must(t, s.Close())
		must(t, os.Remove(filepath.Join(dir, logFile)))
		for range 2 { // it may have voted before it knew that the founding was decided
			refuses(t, dir, "c1", kind, "has lost its log")
		}
	})
}

func TestOpen_MakesNoLogWhereItRefusesTheIdentity(t *testing.T) {
	each(t, func(t *testing.T, kind LogStore) {
		for _, content := range []string{"{", `{"format":1,"sid":"c1"}`, `{"format":4,"sid":"c1"}`,
			`{"format":1,"sid":"c2","node_id":"3b241101-e2bb-4255-8caf-4136c566a962"}`,
			`{"format":2,"log_store":"paper","sid":"c1","node_id":"3b241101-e2bb-4255-8caf-4136c566a962"}`} {
			dir := t.TempDir()
			must(t, os.WriteFile(filepath.Join(dir, identityFile), []byte(content), 0o600))
			before := files(t, dir)
			refuses(t, dir, "c1", kind, "")
			if diff := cmp.Diff(before, files(t, dir)); diff != "" {
				t.Errorf("%s: %s", content, diff)
			}
		}
	})
}

// files is what is in dir and below, by path and size.
func files(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	all := make(map[string]int64)
	must(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			all[path] = info.Size()
		}
		return err
	}))
	return all
}

func TestOpen_RefusesDamagedAndNewerIdentities(t *testing.T) {
	for _, c := range []struct{ what, content, want string }{
		{"garbage", "{", "is damaged"},
		{"without a node", `{"format":1,"sid":"c1"}`, "is not a UUID"},
		{"unknown log store", `{"format":2,"sid":"c1","log_store":"paper"}`, `log_store "paper" is unknown`},
		{"newer", `{"format":4,"sid":"c1"}`, "format 4"},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		belongs(t, dir, BoltDB)
		must(t, os.WriteFile(filepath.Join(dir, identityFile), []byte(c.content), 0o600))
		refuses(t, dir, "c1", BoltDB, c.want)
	}
}

func TestOpen_RefusesDamagedLogs(t *testing.T) {
	garbage := strings.Repeat("garbage ", 1024)
	overwrite := func(at int64) func(*os.File, int64) error {
		return func(f *os.File, _ int64) error {
			_, err := f.WriteAt([]byte(garbage), at)
			return err
		}
	}
	each(t, func(t *testing.T, kind LogStore) {
		for _, c := range []struct {
			what   string
			damage func(f *os.File, size int64) error
		}{
			{"a few bytes are left", func(f *os.File, _ int64) error { return f.Truncate(5) }},
			{"half is left", func(f *os.File, size int64) error { return f.Truncate(size / 2) }},
			{"garbage at the beginning", overwrite(0)},
			{"garbage after the first pages", overwrite(16 << 10)},
			{"garbage in pages whose heads are whole", func(f *os.File, size int64) error {
				for at := int64(16 << 10); at < min(size, 1<<20); at += 4096 {
					if _, err := f.WriteAt(bytes.Repeat([]byte{0xff}, 2000), at+16); err != nil {
						return err
					}
				}
				return nil
			}},
			{"garbage only", func(f *os.File, _ int64) error { return errors.Join(f.Truncate(0), overwrite(0)(f, 0)) }},
		} {
			t.Run(c.what, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "data")
				belongs(t, dir, kind)
				s := open(t, dir, kind)
				for i := range uint64(200) {
					must(t, s.Log.StoreLog(&raft.Log{Index: i + 2, Term: 1, Data: []byte(strings.Repeat("y", 300))}))
				}
				must(t, s.Close())
				f, err := os.OpenFile(entries(t, dir, kind), os.O_RDWR, 0)
				must(t, err)
				info, err := f.Stat()
				must(t, err)
				must(t, c.damage(f, info.Size()))
				must(t, f.Close())
				for range 2 { // nothing keeps the lock
					refuses(t, dir, "c1", kind, "damaged")
					refuses(t, dir, "c1", kind, "delete all of it to start as a new node")
				}
			})
		}
	})
}

func TestOpen_StartsAfreshAfterACrashBeforeTheFirstIdentity(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for _, kind := range []LogStore{BoltDB, WAL} { // with another one, too: nothing was written to the first
		must(t, makeDir(dir))
		db, err := openBolt(t.Context(), filepath.Join(dir, logFile), os.OpenFile)
		must(t, err)
		must(t, db.Close())
		must(t, os.WriteFile(filepath.Join(dir, identityFile+".tmp"), []byte("{"), 0o600))
		must(t, open(t, dir, kind).Close())
		must(t, os.Remove(filepath.Join(dir, identityFile)))
	}
}

// endsAfter is a context that ends when it has been asked so often.
type endsAfter struct {
	context.Context
	left int
}

func (c *endsAfter) Err() error {
	if c.left == 0 {
		return context.Canceled
	}
	c.left--
	return nil
}

// A large log was read to its end, whatever ctx said.
func TestOpen_EndsWithItsContextAtAnyEntry(t *testing.T) {
	each(t, func(t *testing.T, kind LogStore) {
		const entries = 20
		dir := filepath.Join(t.TempDir(), "data")
		belongs(t, dir, kind)
		s := open(t, dir, kind)
		for i := range uint64(entries - 1) {
			must(t, s.Log.StoreLog(entry(i+2)))
		}
		must(t, s.Close())
		want := entries // when they are verified
		if kind == BoltDB {
			want += entries // when the file is inspected
		}
		for asked := 0; ; asked++ {
			s, err := Open(&endsAfter{context.Background(), asked}, dir, "c1", kind, hclog.NewNullLogger())
			if err == nil {
				must(t, s.Close())
				if asked < want {
					t.Errorf("it asked %d times, want %d at least", asked, want)
				}
				return
			}
			if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "damaged") {
				t.Fatalf("asked %d times: %v", asked, err)
			}
		}
	})
}

// Raft leaves what it had of a snapshot when it was killed.
func TestOpen_RemovesUnfinishedSnapshots(t *testing.T) {
	each(t, func(t *testing.T, kind LogStore) {
		dir := filepath.Join(t.TempDir(), "data")
		s := open(t, dir, kind)
		fill(t, s, 1, 20)
		snapshot(t, s, 10)
		sink, err := s.Snapshots.Create(1, 15, entry(15).Term, inConfiguration, 1, newTransport())
		must(t, err)
		_, err = sink.Write([]byte("half of it"))
		must(t, err)
		unfinished := filepath.Join(dir, "snapshots", sink.ID()+".tmp")
		kept := files(t, unfinished)
		refuses(t, dir, "c1", kind, "in use by another process")
		if diff := cmp.Diff(kept, files(t, unfinished)); diff != "" {
			t.Errorf("removed under whoever writes it: %s", diff)
		}
		must(t, s.Close())

		s = open(t, dir, kind)
		if _, err := os.Stat(unfinished); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the unfinished one: %v", err)
		}
		list, err := s.Snapshots.List()
		if err != nil || len(list) != 1 || list[0].Index != 10 {
			t.Errorf("%v: %d snapshots", err, len(list))
		}
		must(t, s.Close())
		_ = sink.Cancel()
	})
}

func TestOpen_RefusesARetiredDirectory(t *testing.T) {
	each(t, func(t *testing.T, kind LogStore) {
		dir := filepath.Join(t.TempDir(), "data")
		belongs(t, dir, kind)
		s := open(t, dir, kind)
		at := time.Date(2026, 11, 27, 7, 0, 0, 0, time.UTC)
		must(t, s.Identity.Retire("the server was decommissioned", at))
		must(t, s.Identity.Retire("again", at.Add(time.Hour))) // changes nothing
		must(t, s.Close())
		refuses(t, dir, "c1", kind, "was retired on 2026-11-27T07:00:00Z: the server was decommissioned: delete all of it to start as a new server")
	})
	m := new(Memory)
	s := openMemory(t, m)
	must(t, s.Identity.Retire("the server was decommissioned", time.Now()))
	must(t, s.Close())
	if _, err := m.Open("c1"); err == nil {
		t.Error("the disk in memory was opened again")
	}
}
