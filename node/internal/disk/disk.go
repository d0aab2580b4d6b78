package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	logFile = "raft.db"
	// lockTimeout bounds the wait for another process to let go of the directory;
	// bbolt would wait for ever. A process that was just killed needs a moment.
	lockTimeout = time.Second
	// Two, so that an unreadable newest snapshot leaves an older one.
	retainSnapshots = 2
	// The leader feeds followers from this cache instead of reading back from the
	// store, which about doubles the throughput of small entries.
	cachedEntries = 512
)

// Store is an open disk.
type Store struct {
	Log       raft.LogStore
	Stable    raft.StableStore
	Snapshots raft.SnapshotStore
	Identity  *Identity
	Durable   bool // survives the process

	close func() error
}

// Close releases the directory.
func (s *Store) Close() error { return s.close() }

// Open opens, or makes, the directory of the server sid. Each reason to refuse
// has a message of its own that says what to do.
func Open(dir, sid string, log hclog.Logger) (*Store, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	_, statErr := os.Stat(filepath.Join(dir, logFile))
	hadLog := statErr == nil

	// The lock comes with the log, so everything else is read after it.
	db, err := openLog(filepath.Join(dir, logFile))
	if err != nil {
		return nil, err
	}
	s, err := openLocked(dir, sid, hadLog, db, log)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

func openLocked(dir, sid string, hadLog bool, db *raftboltdb.BoltStore, log hclog.Logger) (*Store, error) {
	id, ok, err := readIdentity(dir)
	if err != nil {
		return nil, err
	}
	if err := checkOwner(dir, sid, id, ok, hadLog, db); err != nil {
		return nil, err
	}
	if !ok {
		id = newIdentity(sid)
		if err := writeIdentity(dir, id); err != nil {
			return nil, err
		}
	}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(dir, retainSnapshots, log)
	if err != nil {
		return nil, fmt.Errorf("open snapshots in %s: %w", dir, err)
	}
	cache, err := raft.NewLogCache(cachedEntries, db)
	if err != nil {
		return nil, fmt.Errorf("open log cache: %w", err)
	}
	return &Store{
		Log: cache, Stable: db, Snapshots: snapshots, Durable: true,
		Identity: &Identity{now: id, write: func(next identity) error { return writeIdentity(dir, next) }},
		close:    db.Close,
	}, nil
}

// checkOwner refuses a directory that is not, or not wholly, this server's. A
// voter that lost its log has forgotten its votes and must come back as a new node.
func checkOwner(dir, sid string, id identity, hasIdentity, hadLog bool, db *raftboltdb.BoltStore) error {
	switch {
	case hasIdentity && id.SID != sid:
		return fmt.Errorf("data directory %s belongs to server %q, not %q: give each server its own directory", dir, id.SID, sid)
	case hasIdentity && id.ClusterID != "" && !hadLog:
		return fmt.Errorf("data directory %s has lost its log (%s): restore the directory, or delete all of it to start as a new node", dir, logFile)
	case !hasIdentity && hadLog:
		last, err := db.LastIndex()
		if err != nil {
			return fmt.Errorf("read log in %s: %w", dir, err)
		}
		if last > 0 {
			return fmt.Errorf("data directory %s has a log but no %s: restore the directory, or delete all of it to start as a new node", dir, identityFile)
		}
	}
	return nil
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

func openLog(path string) (*raftboltdb.BoltStore, error) {
	db, err := raftboltdb.New(raftboltdb.Options{
		Path: path,
		BoltOptions: &bolt.Options{
			Timeout:        lockTimeout,
			NoFreelistSync: true, // otherwise rewritten with every commit
			FreelistType:   bolt.FreelistMapType,
		},
		MsgpackUseNewTimeFormat: true,
	})
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("data directory %s is in use by another process", filepath.Dir(path))
	case errors.Is(err, fs.ErrPermission), strings.Contains(err.Error(), "read-only file system"):
		return nil, fmt.Errorf("data directory is not writable: %w", err)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%s is damaged (%w): restore the directory, or delete all of it to start as a new node", path, err)
	default:
		return nil, fmt.Errorf("open log %s: %w", path, err)
	}
}
