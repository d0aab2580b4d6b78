package disk

import (
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

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(context.Background(), dir, "c1", hclog.NewNullLogger())
	must(t, err)
	return s
}

// belongs gives the directory a cluster and a log.
func belongs(t *testing.T, dir string) cluster.Record {
	t.Helper()
	s := open(t, dir)
	r := s.Identity.Load()
	r.ClusterID = "3b241101-e2bb-4255-8caf-4136c566a962"
	must(t, s.Identity.Save(r))
	must(t, s.Log.StoreLog(&raft.Log{Index: 1, Term: 1, Data: []byte("x")}))
	must(t, s.Close())
	return r
}

func refuses(t *testing.T, dir, sid, want string) {
	t.Helper()
	s, err := Open(context.Background(), dir, sid, hclog.NewNullLogger())
	if err == nil {
		_ = s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("open: %v; want %q", err, want)
	}
}

func TestOpen_KeepsTheIdentityAndTheLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	want := belongs(t, dir)
	s := open(t, dir)
	defer func() { must(t, s.Close()) }()
	if diff := cmp.Diff(want, s.Identity.Load()); diff != "" {
		t.Error(diff)
	}
	var l raft.Log
	if err := s.Log.GetLog(1, &l); err != nil || string(l.Data) != "x" || !s.Durable {
		t.Errorf("%v %+v", err, l)
	}
}

func TestOpen_RefusesADirectoryThatIsNotThisServers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	belongs(t, dir)
	refuses(t, dir, "c2", `belongs to server "c1", not "c2"`)
	s := open(t, dir)
	refuses(t, dir, "c1", "in use by another process")
	must(t, s.Close())
}

func TestOpen_WaitsForTheLockNoLongerThanItsContext(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, dir)
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
		_, err := Open(ctx, dir, "c1", hclog.NewNullLogger())
		cancel()
		if took := time.Since(start); !errors.Is(err, c.want) || !strings.Contains(err.Error(), "in use by another process") || took >= lockTimeout {
			t.Errorf("%s: %v after %v", c.what, err, took)
		}
	}
	freed := time.AfterFunc(100*time.Millisecond, func() { _ = s.Close() })
	defer freed.Stop()
	next, err := Open(t.Context(), dir, "c1", hclog.NewNullLogger())
	must(t, err)
	must(t, next.Close())
}

func TestOpen_AnEndedContextMakesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := Open(ctx, dir, "c1", hclog.NewNullLogger()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory: %v", err)
	}
}

func TestOpen_RefusesAMissingParentAndAFile(t *testing.T) {
	dir := t.TempDir()
	refuses(t, filepath.Join(dir, "missing", "data"), "c1", "parent does not exist")
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	refuses(t, file, "c1", "not a directory")
}

func TestOpen_RefusesHalfADirectory(t *testing.T) {
	parent := t.TempDir()
	noLog := filepath.Join(parent, "no-log")
	belongs(t, noLog)
	must(t, os.Remove(filepath.Join(noLog, logFile)))
	refuses(t, noLog, "c1", "has lost its log")

	noIdentity := filepath.Join(parent, "no-identity")
	belongs(t, noIdentity)
	must(t, os.Remove(filepath.Join(noIdentity, identityFile)))
	refuses(t, noIdentity, "c1", "has a log but no "+identityFile)
}

func TestOpen_RefusesEveryStartOfAVoterThatLostItsLog(t *testing.T) {
	for _, c := range []struct {
		what string
		lose func(log string) error
	}{
		{"deleted", os.Remove},
		{"emptied", func(log string) error { return os.Truncate(log, 0) }},
	} {
		t.Run(c.what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			want := belongs(t, dir)
			log := filepath.Join(dir, logFile)
			backup, err := os.ReadFile(log)
			must(t, err)
			must(t, c.lose(log))
			before := files(t, dir)
			for range 3 {
				refuses(t, dir, "c1", "has lost its log")
			}
			if diff := cmp.Diff(before, files(t, dir)); diff != "" {
				t.Error(diff)
			}
			must(t, os.WriteFile(log, backup, 0o600)) // the way out that the message names
			s := open(t, dir)
			defer func() { must(t, s.Close()) }()
			if diff := cmp.Diff(want, s.Identity.Load()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOpen_RefusesAFounderThatLostItsLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, dir)
	r := s.Identity.Load()
	r.Promise = &cluster.Proposal{ClusterID: "3b241101-e2bb-4255-8caf-4136c566a962"}
	must(t, s.Identity.Save(r))
	must(t, s.Close())
	must(t, os.Remove(filepath.Join(dir, logFile)))
	for range 2 { // it may have voted before it knew that the founding was decided
		refuses(t, dir, "c1", "has lost its log")
	}
}

func TestOpen_MakesNoLogWhereItRefusesTheIdentity(t *testing.T) {
	for _, content := range []string{"{", `{"format":1,"sid":"c1"}`, `{"format":2,"sid":"c1"}`,
		`{"format":1,"sid":"c2","node_id":"3b241101-e2bb-4255-8caf-4136c566a962"}`} {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, identityFile), []byte(content), 0o600))
		before := files(t, dir)
		refuses(t, dir, "c1", "")
		if diff := cmp.Diff(before, files(t, dir)); diff != "" {
			t.Errorf("%s: %s", content, diff)
		}
	}
}

// files is what is in dir, by name and size.
func files(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	all := make(map[string]int64)
	for _, e := range entries {
		info, err := e.Info()
		must(t, err)
		all[e.Name()] = info.Size()
	}
	return all
}

func TestOpen_RefusesDamagedAndNewerFiles(t *testing.T) {
	for _, c := range []struct{ what, file, content, want string }{
		{"garbage identity", identityFile, "{", "is damaged"},
		{"identity without a node", identityFile, `{"format":1,"sid":"c1"}`, "is not a UUID"},
		{"newer identity", identityFile, `{"format":2,"sid":"c1"}`, "format 2"},
		{"garbage log", logFile, strings.Repeat("garbage ", 4096), "is damaged"},
		{"truncated log", logFile, "short", "damaged"},
	} {
		t.Run(c.what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			belongs(t, dir)
			must(t, os.WriteFile(filepath.Join(dir, c.file), []byte(c.content), 0o600))
			refuses(t, dir, "c1", c.want)
		})
	}
}

func TestOpen_StartsAfreshAfterACrashBeforeTheFirstIdentity(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	must(t, open(t, dir).Close())
	must(t, os.Remove(filepath.Join(dir, identityFile))) // the log was made, and nothing written to it
	must(t, os.WriteFile(filepath.Join(dir, identityFile+".tmp"), []byte("{"), 0o600))
	must(t, open(t, dir).Close())
}
