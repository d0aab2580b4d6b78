package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

const (
	// Two, so that an unreadable newest snapshot leaves an older one.
	retainSnapshots = 2
	snapshotDir     = "snapshots" // Raft's name for it
)

// Store is an open disk.
type Store struct {
	Log       raft.LogStore
	Stable    raft.StableStore
	Snapshots raft.SnapshotStore
	Missing   <-chan struct{} // told when another snapshot is wanted, since one could not be read
	Identity  *Identity
	Durable   bool // survives the process
	Guard     *Guard
	Space     func() (Space, error) // may take as long as a file system hangs

	dir   string // "" in memory
	least uint64 // see Level
	close func() error
}

// Close releases the directory.
func (s *Store) Close() error {
	s.Identity.close()
	return s.close()
}

// Level judges what Space says.
func (s *Store) Level() *Level { return &Level{least: s.least} }

// Unusable is what Raft had to say of the content when it was to begin with it, in
// words that say what to do.
func (s *Store) Unusable(err error) error {
	if s.dir == "" {
		return err
	}
	return fmt.Errorf("data directory %s cannot be used (%w): restore the directory, or delete all of it to start as a new node", s.dir, err)
}

// Open opens, or makes, the directory of the server sid with a log of that kind.
// Each reason to refuse has a message of its own that says what to do, and leaves
// no file behind. It waits no longer than ctx for another process to let go of the
// directory, and reads no more of the log once ctx ends; the error then wraps the
// context's cause.
func Open(ctx context.Context, dir, sid string, kind LogStore, log hclog.Logger) (*Store, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("open data directory %s: %w", dir, context.Cause(ctx))
	}
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	o := opening{dir: dir, sid: sid, kind: kind, logger: log}
	// The lock comes with the log, and to open a log may be to make one. A refused
	// start must not: the next one would take the empty log for the server's own.
	// It could not be removed again either, for somebody may wait for its lock.
	id, _, err := o.identity()
	if err != nil {
		return nil, err
	}
	openFile := os.OpenFile
	if id.ClusterID != "" || id.Promise != nil { // it may have voted
		openFile = openWritten
	}
	db, err := openBolt(ctx, filepath.Join(dir, logFile), openFile)
	if err != nil {
		return nil, err
	}
	s, err := o.locked(ctx, db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// opening is one call of Open.
type opening struct {
	dir, sid string
	kind     LogStore
	logger   hclog.Logger
	salvage  bool // for a recovery
}

// locked reads the identity again: only now nobody else writes it.
func (o opening) locked(ctx context.Context, db *raftboltdb.BoltStore) (*Store, error) {
	id, ok, err := o.identity()
	if err != nil {
		return nil, err
	}
	if !ok {
		if id, err = o.firstIdentity(db); err != nil {
			return nil, err
		}
	}
	if err := removeUnfinished(filepath.Join(o.dir, snapshotDir)); err != nil {
		return nil, err
	}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(o.dir, retainSnapshots, o.logger)
	if err != nil {
		return nil, fmt.Errorf("open snapshots in %s: %w", o.dir, err)
	}
	log, closeLog, err := o.log(ctx, db, snapshots)
	if err != nil {
		return nil, err
	}
	// Before Raft writes its first term: an older binary would not see that, and vote twice.
	if id.Format < identityFormat {
		id.Format = identityFormat
		if err := writeIdentity(o.dir, id); err != nil {
			return nil, errors.Join(err, closeLog(true))
		}
	}
	g := newGuard()
	snaps := g.wrapSnapshots(snapshots, filepath.Join(o.dir, snapshotDir))
	file, least := filepath.Join(o.dir, logFile), uint64(leastFree)
	stable, err := openBallot(g.wrapStable(db, file))
	if err != nil {
		return nil, errors.Join(refusal(o.dir, logFile, err), closeLog(true))
	}
	if o.kind == WAL {
		file, least = filepath.Join(o.dir, walDir), walFree
	}
	return &Store{
		// Below the cache: what is in memory needs no guard.
		Log: &parkedLog{&gapless{&cachedLog{LogStore: g.wrapLog(log, file)}, snaps}, g}, Stable: stable, Snapshots: snaps, Missing: snaps.missing, Durable: true,
		Identity: &Identity{now: id, write: func(next identity) error { return writeIdentity(o.dir, next) }},
		Guard:    g, Space: func() (Space, error) { return space(o.dir) }, dir: o.dir, least: least,
		// The lock goes last: who gets it may write to the log.
		close: func() error { return errors.Join(closeLog(g.Failed() == nil), db.Close()) },
	}, nil
}

// removeUnfinished removes what Raft had of a snapshot when it was killed: it never
// looks there again.
func removeUnfinished(dir string) error {
	all, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read snapshots: %w", err)
	}
	for _, e := range all {
		if e.IsDir() && strings.HasSuffix(e.Name(), ".tmp") {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("remove an unfinished snapshot: %w", err)
			}
		}
	}
	return nil
}

// log opens what holds the entries, and reads all of them. closeLog is told whether
// the files are still to be trusted.
func (o opening) log(ctx context.Context, db *raftboltdb.BoltStore, snapshots raft.SnapshotStore) (log raft.LogStore, closeLog func(bool) error, err error) {
	var store raft.LogStore = db
	closeLog, what := func(bool) error { return nil }, logFile
	if o.kind == WAL {
		what = walDir
		store, closeLog, err = openWAL(filepath.Join(o.dir, walDir), db, o.logger)
		if err != nil {
			return nil, nil, refusal(o.dir, what, err)
		}
	}
	log = checkedLog{store}
	if err := verify(ctx, log, snapshots); err != nil {
		return nil, nil, errors.Join(refusal(o.dir, what, err), closeLog(true))
	}
	if err := rejoin(log, snapshots); err != nil {
		return nil, nil, errors.Join(err, closeLog(true))
	}
	return log, closeLog, nil
}

// identity refuses a directory of another server, and one with another kind of
// log. ok is false if it is nobody's yet.
func (o opening) identity() (id identity, ok bool, err error) {
	id, ok, err = readIdentity(o.dir)
	switch {
	case err != nil || !ok:
		return id, ok, err
	case id.Recovering != "" && !o.salvage:
		err = fmt.Errorf("data directory %s is in the middle of a recovery that was interrupted: run it again (globalchannel recover --data %s)", o.dir, o.dir)
	case id.SID != o.sid:
		err = fmt.Errorf("data directory %s belongs to server %q, not %q: give each server its own directory", o.dir, id.SID, o.sid)
	case id.Retired != nil:
		err = id.Retired.refusal("data directory " + o.dir)
	case id.logStore() != o.kind:
		err = fmt.Errorf("data directory %s has its log in %s, not in %s: start with that log store (--log-store %s), or delete all of the directory to start as a new node", o.dir, id.logStore(), o.kind, id.logStore())
	}
	return id, ok, err
}

// firstIdentity makes the directory this server's, unless a log says that it
// already was somebody's.
func (o opening) firstIdentity(db *raftboltdb.BoltStore) (identity, error) {
	last, err := db.LastIndex()
	if err != nil {
		return identity{}, fmt.Errorf("read log in %s: %w", o.dir, err)
	}
	state, err := segmentList{db}.Load("")
	if err != nil {
		return identity{}, fmt.Errorf("read log in %s: %w", o.dir, err)
	}
	if last > 0 || len(state.Segments) > 0 {
		return identity{}, fmt.Errorf("data directory %s has a log but no %s: restore the directory, or delete all of it to start as a new node", o.dir, identityFile)
	}
	id := newIdentity(o.sid, o.kind)
	return id, writeIdentity(o.dir, id)
}

// makeDir makes the last level only: a missing parent is rather an unmounted
// disk than a wish for a new tree on the wrong one.
func makeDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	switch {
	case err == nil:
		return syncDir(filepath.Dir(dir))
	case errors.Is(err, fs.ErrExist):
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
		if !info.IsDir() {
			return fmt.Errorf("data directory %s is not a directory", dir)
		}
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("data directory %s: its parent does not exist: make it, or mount the disk", dir)
	default:
		return fmt.Errorf("data directory is not writable: %w", err)
	}
}
