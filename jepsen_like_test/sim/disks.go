package sim

import (
	"fmt"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/fault"
	"github.com/pofresh/globalchannel/jepsen_like_test/nemesis"
	"github.com/pofresh/globalchannel/node/nodetest"
)

var _ nemesis.Disks = (*Cluster)(nil)

// FillDisk implements nemesis.Disks.
func (c *Cluster) FillDisk(sid string) (mend func() error, err error) {
	c.fault(sid, "disk full")
	return c.mending(sid, c.fleet.FillDisk(sid, 0)), nil
}

// FailDisk implements nemesis.Disks.
func (c *Cluster) FailDisk(sid string) (mend func() error, err error) {
	c.fault(sid, "disk fails")
	return c.mending(sid, c.fleet.FailDisk(sid)), nil
}

// HangDisk implements nemesis.Disks.
func (c *Cluster) HangDisk(sid string) (mend func() error, err error) {
	c.fault(sid, "disk hangs")
	return c.mending(sid, c.fleet.StallDisk(sid)), nil
}

// SlowDisk implements nemesis.Disks.
func (c *Cluster) SlowDisk(sid string, sync time.Duration) (mend func() error, err error) {
	c.fault(sid, fmt.Sprintf("disk syncs in %v", sync))
	return c.mending(sid, c.fleet.SlowDisk(sid, sync)), nil
}

func (c *Cluster) mending(sid string, mend func()) func() error {
	return func() error {
		c.fault(sid, "disk mended")
		mend()
		return nil
	}
}

// CutPower implements nemesis.Disks. The power is back with Start: until then nobody is
// told that a connection is dead.
func (c *Cluster) CutPower(sids ...string) error {
	for _, sid := range sids {
		c.fault(sid, "power cut")
	}
	c.fleet.PowerOff(sids...)
	for _, sid := range sids {
		c.servers[sid].died()
		c.dark[sid] = true
	}
	return nil
}

var files = map[fault.File]nodetest.DiskFile{fault.Log: nodetest.LogFile, fault.Snapshot: nodetest.SnapshotFile}

// Damage implements nemesis.Disks.
func (c *Cluster) Damage(sid string, f fault.File, d fault.Damage) error {
	c.fault(sid, fmt.Sprintf("%v of its %v", d, f))
	if d == fault.Truncated {
		return c.fleet.TruncateFile(sid, files[f])
	}
	return c.fleet.FlipBits(sid, files[f])
}

// Wipe implements nemesis.Disks.
func (c *Cluster) Wipe(sid string) error {
	c.fault(sid, "disk wiped")
	return c.fleet.Wipe(sid)
}

// Copy implements nemesis.Disks.
func (c *Cluster) Copy(sid string) (restore func() error, err error) {
	again, err := c.fleet.CopyDisk(sid)
	if err != nil {
		return nil, err
	}
	return func() error {
		c.fault(sid, "disk restored from a copy")
		return again()
	}, nil
}

// LastIndex implements nemesis.Disks.
func (c *Cluster) LastIndex(sid string) (uint64, error) { return c.fleet.LastIndex(sid), nil }
