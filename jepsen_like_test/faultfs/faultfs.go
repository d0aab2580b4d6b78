package faultfs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"
)

// FS is a mounted file system. Its methods may be called concurrently, those that mount
// and unmount one after the other.
type FS struct {
	dir    string
	faults faults

	mu   sync.Mutex // guards the tree and all that is in it
	tree *tree

	mount  *mount
	rescue *rescue
}

// Mount lays a file system over a directory; it begins with what is in there, all of it
// durable. It needs root, Linux and /dev/fuse; Able tells.
func Mount(dir string) (*FS, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	f := &FS{dir: dir}
	if f.rescue, err = newRescue(dir); err != nil {
		return nil, err
	}
	if err := f.lay(); err != nil {
		f.rescue.end()
		return nil, err
	}
	return f, nil
}

// Dir is where it is mounted.
func (f *FS) Dir() string { return f.dir }

// Fill leaves no room: what needs some fails (ENOSPC), also after something was deleted.
func (f *FS) Fill() (mend func()) { return f.faults.spoil(fault{kind: full}) }

// Fail gives input/output errors for everything but reading.
func (f *FS) Fail() (mend func()) { return f.faults.spoil(fault{kind: failing}) }

// Hang stops everything but reading until it is mended. Who waits can be killed.
func (f *FS) Hang() (mend func()) { return f.faults.spoil(fault{kind: hung}) }

// Slow makes each fsync take so long at least.
func (f *FS) Slow(sync time.Duration) (mend func()) {
	return f.faults.spoil(fault{kind: slow, sync: sync})
}

// Seen tells what the faults have done so far.
func (f *FS) Seen() Seen {
	f.faults.mu.Lock()
	defer f.faults.mu.Unlock()
	n := f.faults.seen
	return Seen{Full: n[full], Failed: n[failing], Hung: n[hung], Slowed: n[slow], Lost: f.faults.lost}
}

// CutPower drops what was not synced. With r, a part of that survives, as on real disks:
// of each file some of its pages, and some of the first changes of names. It returns how
// many pages, sizes and changes of names are gone. The processes that use the file
// system are to be killed before; others have lost it.
func (f *FS) CutPower(r *rand.Rand) (lost int, err error) {
	if err := f.unmount(); err != nil {
		return 0, err
	}
	f.mu.Lock()
	lost = f.tree.cut(r)
	f.mu.Unlock()
	f.faults.mu.Lock()
	f.faults.lost += lost
	f.faults.mu.Unlock()
	return lost, f.remount()
}

// Offline calls work while the content lies in the directory as ordinary files, for which
// no fault counts. No process may have any open. Afterwards all is durable.
func (f *FS) Offline(work func() error) error {
	if err := f.lift(); err != nil {
		return err
	}
	return errors.Join(work(), f.lay())
}

// Close leaves the content in the directory as ordinary files.
func (f *FS) Close() error {
	defer f.rescue.end()
	return f.lift()
}

// lay reads what is in the directory and mounts over it.
func (f *FS) lay() error {
	t, err := load(f.dir)
	if err != nil {
		return fmt.Errorf("read %s: %w", f.dir, err)
	}
	f.mu.Lock()
	f.tree = t
	f.mu.Unlock()
	return f.remount()
}

// lift unmounts, and writes everything into the directory.
func (f *FS) lift() error {
	if err := f.unmount(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.tree.store(f.dir); err != nil {
		return fmt.Errorf("write %s: %w", f.dir, err)
	}
	return nil
}
