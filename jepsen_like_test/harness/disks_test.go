package harness

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/pofresh/globalchannel/jepsen_like_test/fault"
	"github.com/pofresh/globalchannel/jepsen_like_test/faultfs"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// onDisks is a cluster of one server that was not started.
func onDisks(t *testing.T) (*Cluster, *Server) {
	t.Helper()
	if err := faultfs.Able(); err != nil {
		t.Skipf("skipped, no disks that can be spoiled: %v", err)
	}
	c, err := NewCluster(shell(), Options{Dir: t.TempDir(), Servers: []Spec{{SID: "a"}}, Disks: true, History: history.NewRecorder()})
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	return c, c.Servers[0]
}

func TestCluster_CopyAndWipe(t *testing.T) {
	c, s := onDisks(t)
	path := filepath.Join(s.Dir, "sub", "file")
	must(t, os.Mkdir(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte("then"), 0o600))
	restore, err := c.Copy("a")
	must(t, err)
	must(t, os.WriteFile(path, []byte("now"), 0o600))
	must(t, os.WriteFile(filepath.Join(s.Dir, "new"), nil, 0o600))
	must(t, c.Wipe("a"))
	if left, err := os.ReadDir(s.Dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	must(t, os.WriteFile(filepath.Join(s.Dir, "new"), nil, 0o600))
	must(t, restore())
	if b, err := os.ReadFile(path); err != nil || string(b) != "then" {
		t.Errorf("got %q, %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "new")); err == nil {
		t.Error("what came after the copy is there")
	}
}

// What a running server has open must not be taken away from under it.
func TestCluster_NobodyTouchesTheDirectoryOfARunningServer(t *testing.T) {
	c, s := onDisks(t)
	var err error
	s.process, err = shell().Start(nil, "-c", "exec sleep 1000")
	must(t, err)
	for name, do := range map[string]func() error{
		"wipe":   func() error { return c.Wipe("a") },
		"damage": func() error { return c.Damage("a", fault.Log, fault.Truncated) },
		"copy":   func() error { _, err := c.Copy("a"); return err },
	} {
		if do() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	must(t, c.CutPower("a"))
	if code, err := s.process.Wait(bounded(t)); code != -1 || err != nil {
		t.Errorf("after the power cut: exit code %d, %v", code, err)
	}
	must(t, c.Wipe("a"))
	if _, err := c.FillDisk("b"); err == nil {
		t.Error("an unknown server's disk is full")
	}
}

func TestNewest(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) {
		t.Helper()
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, b, 0o600))
	}
	is := func(f fault.File, want string) {
		t.Helper()
		got, err := newest(dir, f)
		if (err == nil) != (want != "") || want != "" && got != filepath.Join(dir, want) {
			t.Errorf("the %v is %s, %v; want %q", f, got, err, want)
		}
	}
	is(fault.Log, "")
	is(fault.Snapshot, "")
	write("raft.db", []byte("x"))
	is(fault.Log, "raft.db")
	for i, b := range [][]byte{{1}, {2}, make([]byte, 10)} {
		write(fmt.Sprintf("wal/%020d-%016x.wal", i+1, i), b)
	}
	is(fault.Log, fmt.Sprintf("wal/%020d-%016x.wal", 2, 1))
	for _, name := range []string{"2-900-1", "2-1000-2", "3-1000-1.tmp"} {
		write(filepath.Join("snapshots", name, "state.bin"), nil)
	}
	is(fault.Snapshot, "snapshots/2-1000-2/state.bin")
}

// Damage is where there is content, and follows from the seed.
func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	content := bytes.Repeat([]byte("content"), 100)
	for _, d := range []fault.Damage{fault.Flipped, fault.Truncated} {
		var results [][]byte
		for _, seed := range []uint64{1, 1, 2} {
			must(t, os.WriteFile(path, append(bytes.Clone(content), make([]byte, 10000)...), 0o600))
			must(t, damage(path, d, rand.New(rand.NewPCG(seed, 0))))
			b, err := os.ReadFile(path)
			must(t, err)
			results = append(results, b)
			if got := b[:min(len(b), len(content))]; bytes.Equal(got, content) {
				t.Errorf("%v: the content is whole", d)
			}
			if truncated := len(b) < len(content); truncated != (d == fault.Truncated) {
				t.Errorf("%v: %d bytes of %d are left", d, len(b), len(content)+10000)
			}
		}
		if !bytes.Equal(results[0], results[1]) || bytes.Equal(results[1], results[2]) {
			t.Errorf("%v does not follow from the seed", d)
		}
	}
	must(t, os.WriteFile(path, make([]byte, 100), 0o600))
	if damage(path, fault.Flipped, rand.New(rand.NewPCG(1, 0))) == nil {
		t.Error("nothing was damaged")
	}
}
