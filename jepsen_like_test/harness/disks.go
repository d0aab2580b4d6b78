package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/fault"
	"github.com/pofresh/globalchannel/jepsen_like_test/faultfs"
)

// disks are the data directories of a cluster's servers, each a file system of its own.
// Its methods that hurt are the Cluster's: package nemesis has their interface.
type disks struct {
	bySID map[string]*faultfs.FS // nil: ordinary directories

	mu     sync.Mutex // guards what follows
	random *rand.Rand
	copies int
}

// lay mounts them.
func (d *disks) lay(servers []*Server, seed uint64) error {
	d.bySID, d.random = make(map[string]*faultfs.FS), rand.New(rand.NewPCG(seed, 0))
	for _, s := range servers {
		if err := d.mount(s); err != nil {
			return errors.Join(err, d.close())
		}
	}
	return nil
}

func (d *disks) mount(s *Server) error {
	if err := os.Mkdir(s.Dir, 0o700); err != nil {
		return fmt.Errorf("make a data directory: %w", err)
	}
	f, err := faultfs.Mount(s.Dir)
	if err != nil {
		return err
	}
	d.bySID[s.SID] = f
	return nil
}

// unmount leaves an ordinary directory, if there is a file system over it.
func (d *disks) unmount(s *Server) error {
	f := d.bySID[s.SID]
	if f == nil {
		return nil
	}
	delete(d.bySID, s.SID)
	return f.Close()
}

// close leaves ordinary directories with what the servers had.
func (d *disks) close() error {
	var errs []error
	for _, f := range d.bySID {
		errs = append(errs, f.Close())
	}
	d.bySID = nil
	return errors.Join(errs...)
}

// branch is a source of random numbers for one goroutine.
func (d *disks) branch() *rand.Rand {
	d.mu.Lock()
	defer d.mu.Unlock()
	return rand.New(rand.NewPCG(d.random.Uint64(), 0))
}

// Spoilable tells whether the disks can be spoiled.
func (c *Cluster) Spoilable() bool { return c.disks.bySID != nil }

// disk is that of a server, and it.
func (c *Cluster) disk(sid string) (*faultfs.FS, *Server, error) {
	s, f := c.Server(sid), c.disks.bySID[sid]
	if s == nil || f == nil {
		return nil, nil, fmt.Errorf("%s has no disk that can be spoiled: see Options.Disks", sid)
	}
	return f, s, nil
}

// spoil switches a fault on.
func (c *Cluster) spoil(sid, what string, how func(*faultfs.FS) func()) (mend func() error, err error) {
	f, s, err := c.disk(sid)
	if err != nil {
		return nil, err
	}
	s.note(what)
	end := how(f)
	return func() error {
		end()
		s.note(what + " no more")
		return nil
	}, nil
}

// FillDisk leaves the server no room.
func (c *Cluster) FillDisk(sid string) (mend func() error, err error) {
	return c.spoil(sid, "disk full", (*faultfs.FS).Fill)
}

// FailDisk makes all the server's writes fail with input/output errors.
func (c *Cluster) FailDisk(sid string) (mend func() error, err error) {
	return c.spoil(sid, "disk failing", (*faultfs.FS).Fail)
}

// HangDisk lets the server's writes and fsyncs wait until it is mended, or the server
// killed.
func (c *Cluster) HangDisk(sid string) (mend func() error, err error) {
	return c.spoil(sid, "disk hung", (*faultfs.FS).Hang)
}

// SlowDisk makes each fsync take so long at least.
func (c *Cluster) SlowDisk(sid string, sync time.Duration) (mend func() error, err error) {
	return c.spoil(sid, fmt.Sprintf("disk slow, %v for an fsync", sync), func(f *faultfs.FS) func() { return f.Slow(sync) })
}

// DiskFaults tells how many of the server's calls have met a fault of its disk.
func (c *Cluster) DiskFaults(sid string) (faultfs.Seen, error) {
	f, _, err := c.disk(sid)
	if err != nil {
		return faultfs.Seen{}, err
	}
	return f.Seen(), nil
}

// Ends waits until the server ends by itself, as it should when its data directory is not
// to be used, and returns the exit code.
func (s *Server) Ends(ctx context.Context) (code int, err error) {
	code, err = s.process.Wait(ctx)
	if err == nil {
		s.ended = true
	}
	return code, err
}

// CutPower kills servers, and what they had not synced is gone: all of it, or with two
// chances in three a part. From one moment on nothing of any of them gets to a disk, so
// no answer can tell of what will not be there.
func (c *Cluster) CutPower(sids ...string) error {
	var servers []*Server
	var ons []func()
	defer func() {
		for _, on := range ons {
			on()
		}
	}()
	for _, sid := range sids {
		f, s, err := c.disk(sid)
		if err != nil {
			return err
		}
		ons, servers = append(ons, f.Hang()), append(servers, s)
	}
	for _, s := range servers {
		s.note("power cut")
		if s.process == nil {
			return fmt.Errorf("%s was never started", s.SID)
		}
	}
	c.Kill(servers...)
	for _, s := range servers {
		survives := c.disks.branch()
		if survives.IntN(3) == 0 {
			survives = nil
		}
		lost, err := c.disks.bySID[s.SID].CutPower(survives)
		if err != nil {
			return err
		}
		s.note(fmt.Sprintf("%d writes lost", lost))
	}
	return nil
}

// offline has work done on the data directory of a server that does not run.
func (c *Cluster) offline(sid, what string, work func(dir string) error) error {
	f, s, err := c.disk(sid)
	if err != nil {
		return err
	}
	if s.process != nil {
		select {
		case <-s.process.Ended():
		default:
			return fmt.Errorf("%s runs: nobody can touch its data directory", sid)
		}
	}
	s.note(what)
	if err := f.Offline(func() error { return work(s.Dir) }); err != nil {
		return fmt.Errorf("%s of %s: %w", what, sid, err)
	}
	return nil
}

// Wipe empties the data directory.
func (c *Cluster) Wipe(sid string) error { return c.offline(sid, "wiping", empty) }

// Damage spoils a part of the data directory, where there is content.
func (c *Cluster) Damage(sid string, f fault.File, d fault.Damage) error {
	return c.offline(sid, fmt.Sprintf("%v of the %v", d, f), func(dir string) error {
		path, err := newest(dir, f)
		if err != nil {
			return err
		}
		return damage(path, d, c.disks.branch())
	})
}

// Copy keeps the data directory as it is; restore brings that back.
func (c *Cluster) Copy(sid string) (restore func() error, err error) {
	c.disks.mu.Lock()
	c.disks.copies++
	kept := filepath.Join(c.dir, fmt.Sprintf("copy-%d-of-%s", c.disks.copies, sid))
	c.disks.mu.Unlock()
	if err := c.offline(sid, "copying", func(dir string) error { return os.CopyFS(kept, os.DirFS(dir)) }); err != nil {
		return nil, err
	}
	return func() error {
		return c.offline(sid, "restoring an old copy", func(dir string) error {
			return errors.Join(empty(dir), os.CopyFS(dir, os.DirFS(kept)))
		})
	}, nil
}

// LastIndex asks the binary for the newest entry in a data directory, in the log or a
// snapshot.
func (c *Cluster) LastIndex(sid string) (index uint64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), readTime)
	defer cancel()
	return index, c.offline(sid, "reading", func(dir string) error {
		// It is refused, since the others are there, but told all the same.
		r, err := c.binary.Run(ctx, nil, "recover", "--data", dir, "--dry-run", "-o", "json")
		if err != nil {
			return err
		}
		var told struct {
			LastIndex uint64 `json:"last_index"`
		}
		if err := json.Unmarshal([]byte(r.Stdout), &told); err != nil {
			return fmt.Errorf("%w in %v", err, r)
		}
		index = told.LastIndex
		return nil
	})
}

// readTime is what reading a data directory may take.
const readTime = time.Minute

func empty(dir string) error {
	all, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range all {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
