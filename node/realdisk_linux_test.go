package node_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
)

// realDisk is a file system of its own that something happens to.
type realDisk struct {
	dir   string
	spoil func(t *testing.T) (mend func())
}

// mounted mounts a tmpfs.
func mounted(t *testing.T, mib int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disk")
	must(t, os.Mkdir(dir, 0o700))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
		t.Skipf("no file system of its own for a server here, which needs root: %v", err)
	}
	t.Cleanup(func() { unmount(t, dir) })
	return dir
}

func unmount(t *testing.T, dir string) {
	if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
		t.Errorf("unmount %s: %v", dir, err)
	}
}

// looped is an ext4 in a file on a tmpfs.
func looped(t *testing.T) (ext4, tmpfs string) {
	t.Helper()
	tmpfs = mounted(t, 192)
	image, ext4 := filepath.Join(tmpfs, "image"), filepath.Join(t.TempDir(), "ext4")
	must(t, os.Mkdir(ext4, 0o700))
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 2<<30))
	for _, command := range [][]string{{"mkfs.ext4", "-q", "-F", image}, {"mount", "-o", "loop", image, ext4}} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("no ext4 on a loop device here: %v: %s", err, out)
		}
	}
	t.Cleanup(func() { unmount(t, ext4) })
	return ext4, tmpfs
}

// fillUp takes all that is left.
func fillUp(t *testing.T, dir string) (empty func()) {
	t.Helper()
	path := filepath.Join(dir, "fill")
	f, err := os.Create(path)
	must(t, err)
	for _, size := range []int{1 << 20, 4 << 10} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	must(t, f.Close())
	return func() { must(t, os.Remove(path)) }
}

func fullDisk(t *testing.T) realDisk {
	dir := mounted(t, 96)
	return realDisk{dir, func(t *testing.T) func() { return fillUp(t, dir) }}
}

// failingDisk gives input/output errors: what is below it is full.
func failingDisk(t *testing.T) realDisk {
	ext4, tmpfs := looped(t)
	return realDisk{ext4, func(t *testing.T) func() {
		empty := fillUp(t, tmpfs)
		return func() { // it is read-only from the first error to the next mount
			empty()
			must(t, syscall.Unmount(ext4, 0))
			if out, err := exec.Command("mount", "-o", "loop", filepath.Join(tmpfs, "image"), ext4).CombinedOutput(); err != nil {
				t.Fatalf("mount again: %v: %s", err, out)
			}
		}
	}}
}

// hungDisk stands still within a write or fsync.
func hungDisk(t *testing.T) realDisk {
	ext4, _ := looped(t)
	return realDisk{ext4, func(t *testing.T) func() {
		thaw := func() error { return exec.Command("fsfreeze", "-u", ext4).Run() }
		// Nothing can end a process that is inside: should this one be killed, somebody else thaws it.
		rescue := exec.Command("sh", "-c", "sleep 120; fsfreeze -u "+ext4)
		rescue.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		must(t, rescue.Start())
		if out, err := exec.Command("fsfreeze", "-f", ext4).CombinedOutput(); err != nil {
			t.Skipf("cannot freeze a file system here: %v: %s", err, out)
		}
		mend := sync.OnceFunc(func() {
			if err := thaw(); err != nil {
				t.Errorf("thaw %s: %v", ext4, err)
			}
			_ = syscall.Kill(-rescue.Process.Pid, syscall.SIGKILL)
			_ = rescue.Wait()
		})
		t.Cleanup(mend) // before all others: they would wait
		return mend
	}}
}

func TestRealDisk_Full(t *testing.T) {
	t.Parallel()
	for _, leads := range []bool{true, false} {
		t.Run(role(leads), func(t *testing.T) {
			survivesARealBadDisk(t, node.BoltDB, leads, fullDisk, "no space left on device", false)
		})
	}
}

// One of a kind each: all take their time.
func TestRealDisk_Failing(t *testing.T) {
	t.Parallel()
	onDisk(t, func(t *testing.T, store node.LogStore) {
		survivesARealBadDisk(t, store, store == node.BoltDB, failingDisk, "the disk has failed", false)
	})
}

func TestRealDisk_Hung(t *testing.T) {
	t.Parallel()
	onDisk(t, func(t *testing.T, store node.LogStore) {
		survivesARealBadDisk(t, store, store == node.WAL, hungDisk, "has not returned since", true)
	})
}

func role(leads bool) string {
	if leads {
		return "leader"
	}
	return "follower"
}

// survivesARealBadDisk is survivesABadDisk with the kernel's own answers. The host, here
// the test, lives. A follower whose disk hung goes on by itself, all others are started
// again.
func survivesARealBadDisk(t *testing.T, store node.LogStore, leads bool, disk func(*testing.T) realDisk, want string, hangs bool) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	ctx := within(t)
	cfgs := onLoopback(t)
	disks := make(map[string]realDisk)
	var nodes []*node.Node
	for i := range cfgs {
		d := disk(t)
		disks[cfgs[i].SID] = d
		cfgs[i].DataDir, cfgs[i].LogStore = filepath.Join(d.dir, "data"), store
	}
	for _, cfg := range cfgs {
		nodes = append(nodes, start(t, cfg))
	}
	for _, n := range nodes {
		must(t, n.Ready(ctx))
	}
	at := slices.IndexFunc(nodes, func(n *node.Node) bool { return (n.Status().LeaderNodeID == n.Self().NodeID) == leads })
	victim, others := nodes[at], slices.Delete(slices.Clone(nodes), at, at+1)
	sid, target := victim.Self().SID, others[0].Self().SID

	var acked []string
	spoiled, took := false, time.Duration(0)
	var mend func()
	var began time.Time
	for i, left := 0, 50; left > 0; i++ { // one caller each at the victim and at another one
		for _, n := range []*node.Node{victim, others[0]} {
			uid := fmt.Sprint(n.Self().SID, "-", i, strings.Repeat("-", 200))
			if err := n.Add(ctx, "world", uid, target); err != nil {
				t.Fatalf("add at %s: %v", n.Self().SID, err)
			}
			acked = append(acked, uid)
		}
		if i == 50 {
			mend, began, spoiled = disks[sid].spoil(t), time.Now(), true
		}
		if l := others[0].Status().LeaderNodeID; spoiled && took == 0 && victim.Err() != nil && l != "" && l != victim.Self().NodeID {
			took = time.Since(began)
		}
		if took > 0 {
			left--
		}
	}
	t.Logf("leadership elsewhere, and told, after %v: %v", took, victim.Err())
	if took == 0 || took > 10*time.Second {
		t.Errorf("leadership elsewhere after %v", took)
	}
	if err := says(victim.Err(), want); err != nil {
		t.Error(err)
	}
	if s := victim.Status(); s.Ready || says(errors.New(s.Problem), want) != nil {
		t.Errorf("%+v", s)
	}
	if hangs && !leads {
		mend()
		goesOn(t, victim)
	} else {
		ended := time.Now()
		if err := victim.Close(); hangs != (err != nil) || time.Since(ended) > 10*time.Second {
			t.Errorf("Close after %v: %v", time.Since(ended), err)
		}
		mend()
		nodes[at] = startsAgain(t, cfgs[at])
	}
	must(t, nodes[at].Ready(ctx))
	must(t, nodes[at].Add(ctx, "world", "last", target))
	acked = append(acked, "last")
	for _, n := range nodes {
		got := members(t, ctx, n, "world", node.AtLeast(nodes[at].Index()))
		for _, uid := range acked {
			if _, ok := slices.BinarySearch(got, uid+"@"+target); !ok {
				t.Fatalf("%s lost the acknowledged add of %s", n.Self().SID, uid)
			}
		}
	}
	t.Logf("%d acknowledged adds are on all three servers", len(acked))
}

// goesOn waits until what hung has returned.
func goesOn(t *testing.T, n *node.Node) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n.Err() != nil {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("still %v", n.Err())
		}
	}
}

// startsAgain waits for what hung in this process to let go of the directory.
func startsAgain(t *testing.T, cfg node.Config) *node.Node {
	t.Helper()
	ctx := within(t)
	for {
		n, err := node.Start(ctx, cfg)
		if err == nil {
			t.Cleanup(func() { _ = n.Close() })
			return n
		}
		if ctx.Err() != nil || !strings.Contains(err.Error(), "in use by another process") {
			t.Fatal(err)
		}
	}
}
