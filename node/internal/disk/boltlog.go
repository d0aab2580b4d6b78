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
	logFile = "raft.db"
	// lockTimeout bounds the wait for another process to let go of the directory.
	// One that was just killed needs a moment.
	lockTimeout = time.Second
	lockRetry   = 20 * time.Millisecond
)

// opener is os.OpenFile, or refuses what that would allow.
type opener func(path string, flag int, mode fs.FileMode) (*os.File, error)

var errLogLost = errors.New("the log is lost")

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

func openLog(ctx context.Context, path string, openFile opener) (*raftboltdb.BoltStore, error) {
	db, err := waitForLock(ctx, path, openFile)
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, errLogLost):
		return nil, fmt.Errorf("data directory %s has lost its log (%s): restore the directory, or delete all of it to start as a new node", filepath.Dir(path), logFile)
	case errors.Is(err, bolterrors.ErrTimeout):
		if ctx.Err() != nil {
			return nil, fmt.Errorf("data directory %s is in use by another process: %w", filepath.Dir(path), context.Cause(ctx))
		}
		return nil, fmt.Errorf("data directory %s is in use by another process", filepath.Dir(path))
	case errors.Is(err, fs.ErrPermission), strings.Contains(err.Error(), "read-only file system"):
		return nil, fmt.Errorf("data directory is not writable: %w", err)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%s is damaged (%w): restore the directory, or delete all of it to start as a new node", path, err)
	default:
		return nil, fmt.Errorf("open log %s: %w", path, err)
	}
}

// waitForLock tries until ctx ends, which bbolt's own wait does not know of.
func waitForLock(ctx context.Context, path string, openFile opener) (*raftboltdb.BoltStore, error) {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	again := time.NewTicker(lockRetry)
	defer again.Stop()
	for {
		db, err := tryLog(path, openFile)
		if !errors.Is(err, bolterrors.ErrTimeout) {
			return db, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, err
		}
	}
}

func tryLog(path string, openFile opener) (*raftboltdb.BoltStore, error) {
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
