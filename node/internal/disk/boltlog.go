package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	// logFile holds term and vote, and the log, or where the log is kept elsewhere,
	// what there is of it. Its lock is the directory's.
	logFile = "raft.db"
	// lockTimeout bounds the wait for another process to let go of the directory.
	// One that was just killed needs a moment.
	lockTimeout = time.Second
	lockRetry   = 20 * time.Millisecond
)

// opener is os.OpenFile, or refuses what that would allow.
type opener func(path string, flag int, mode fs.FileMode) (*os.File, error)

// openWritten never makes a file, and refuses one that was never written to, which
// bbolt would begin anew: a voter that lost its log has forgotten its votes and
// must come back as a new node.
func openWritten(path string, flag int, mode fs.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flag&^os.O_CREATE, mode)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errLogLost
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() == 0 {
		err = errLogLost
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func openBolt(ctx context.Context, path string, openFile opener) (*raftboltdb.BoltStore, error) {
	db, err := waitForLock(ctx, path, openFile)
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, errLogLost), errors.Is(err, errLogDamaged):
		return nil, refusal(filepath.Dir(path), logFile, err)
	case errors.Is(err, bolterrors.ErrTimeout):
		if ctx.Err() != nil {
			return nil, fmt.Errorf("data directory %s is in use by another process: %w", filepath.Dir(path), context.Cause(ctx))
		}
		return nil, fmt.Errorf("data directory %s is in use by another process", filepath.Dir(path))
	case errors.Is(err, fs.ErrPermission), strings.Contains(err.Error(), "read-only file system"):
		return nil, fmt.Errorf("data directory is not writable: %w", err)
	default:
		return nil, fmt.Errorf("open log %s: %w", path, err)
	}
}

// waitForLock tries until ctx ends, which bbolt's own wait does not know of.
func waitForLock(ctx context.Context, path string, openFile opener) (*raftboltdb.BoltStore, error) {
	wait, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	again := time.NewTicker(lockRetry)
	defer again.Stop()
	for {
		db, err := tryBolt(ctx, path, openFile)
		if !errors.Is(err, bolterrors.ErrTimeout) {
			return db, err
		}
		select {
		case <-again.C:
		case <-wait.Done():
			return nil, err
		}
	}
}

func tryBolt(ctx context.Context, path string, openFile opener) (*raftboltdb.BoltStore, error) {
	if err := inspect(ctx, path); err != nil {
		return nil, err
	}
	return raftboltdb.New(raftboltdb.Options{
		Path: path,
		BoltOptions: &bolt.Options{
			Timeout:        1, // one attempt at the lock; 0 would wait for ever
			OpenFile:       openFile,
			NoFreelistSync: true, // otherwise rewritten with every commit
			FreelistType:   bolt.FreelistMapType,
		},
		MsgpackUseNewTimeFormat: true,
	})
}

// inspect looks at every page of a file that is there, until ctx ends. bbolt does so when it
// opens a file for writing, and panics over what is damaged: in a goroutine of its own, or
// before another one of its own has ended that still reads the file.
func inspect(ctx context.Context, path string) error {
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return nil // not there, or never written to: for openWritten to judge
	}
	return guarded(func() (err error) {
		db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: 1})
		if errors.Is(err, bolterrors.ErrInvalid) || errors.Is(err, bolterrors.ErrChecksum) || errors.Is(err, bolterrors.ErrVersionMismatch) {
			return fmt.Errorf("%w: %w", errLogDamaged, err)
		}
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		return db.View(func(tx *bolt.Tx) error {
			if info, err := os.Stat(path); err == nil && info.Size() < tx.Size() {
				return fmt.Errorf("%w: it has %d bytes of at least %d", errLogDamaged, info.Size(), tx.Size())
			}
			return checkBoltPages(ctx, tx, file)
		})
	})
}
