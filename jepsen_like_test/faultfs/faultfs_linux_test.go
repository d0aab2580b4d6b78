package faultfs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(boltVariable); path != "" {
		if err := commitForEver(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m)
}

// mounted is a file system, and its directory.
func mounted(t *testing.T) (*FS, string) {
	t.Helper()
	if err := Able(); err != nil {
		t.Skipf("skipped: %v", err)
	}
	dir := t.TempDir()
	f, err := Mount(dir)
	must(t, err)
	t.Cleanup(func() {
		if f.mount != nil {
			must(t, f.Close())
		}
		mounts, err := os.ReadFile("/proc/self/mounts")
		must(t, err)
		if strings.Contains(string(mounts), dir) {
			t.Errorf("%s is still mounted", dir)
		}
	})
	return f, dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func put(t *testing.T, path, content string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(content), 0o600))
}

func syncPath(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	must(t, errors.Join(f.Sync(), f.Close()))
}

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// content is all files below dir.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	must(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if e.IsDir() {
			all[name] = "directory"
			return nil
		}
		b, err := os.ReadFile(path)
		all[name] = string(b)
		return err
	}))
	return all
}

func holds(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, content(t, dir)); diff != "" {
		t.Errorf("in the directory (-want +got):\n%s", diff)
	}
}

// What was in the directory is in the file system, and the other way round.
func TestFS_HoldsWhatTheDirectoryHeld(t *testing.T) {
	if err := Able(); err != nil {
		t.Skipf("skipped: %v", err)
	}
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	put(t, filepath.Join(dir, "sub", "old"), strings.Repeat("old", 5000))
	put(t, filepath.Join(dir, "gone"), "gone")
	f, err := Mount(dir)
	must(t, err)
	want := map[string]string{"sub": "directory", "sub/old": strings.Repeat("old", 5000)}
	must(t, os.Remove(filepath.Join(dir, "gone")))
	holds(t, dir, want)

	put(t, filepath.Join(dir, "sub", "tmp"), "new")
	must(t, os.Rename(filepath.Join(dir, "sub", "tmp"), filepath.Join(dir, "new")))
	must(t, os.Truncate(filepath.Join(dir, "sub", "old"), 4099))
	must(t, os.Truncate(filepath.Join(dir, "sub", "old"), 4101))
	must(t, os.Mkdir(filepath.Join(dir, "empty"), 0o700))
	wants(t, "removing a directory in use", os.Remove(filepath.Join(dir, "sub")), syscall.ENOTEMPTY)
	want = map[string]string{"sub": "directory", "sub/old": strings.Repeat("old", 5000)[:4099] + "\x00\x00", "new": "new", "empty": "directory"}
	holds(t, dir, want)
	must(t, f.Offline(func() error {
		holds(t, dir, want)
		return os.Remove(filepath.Join(dir, "empty"))
	}))
	delete(want, "empty")
	holds(t, dir, want)
	must(t, f.Close())
	holds(t, dir, want)
}

func TestFill(t *testing.T) {
	f, dir := mounted(t)
	a := open(t, filepath.Join(dir, "a"))
	_, err := a.WriteAt(make([]byte, 2*pageSize), 0)
	must(t, err)
	must(t, syscall.Fallocate(int(a.Fd()), 1, 2*pageSize, pageSize))
	mend := f.Fill()
	_, err = a.WriteAt([]byte("there is a place for this"), 2*pageSize-10)
	wants(t, "write into what is allocated", err, nil)
	_, err = a.WriteAt([]byte("not for this"), 3*pageSize-1)
	wants(t, "write beyond", err, syscall.ENOSPC)
	wants(t, "allocate", syscall.Fallocate(int(a.Fd()), 0, 0, 4*pageSize), syscall.ENOSPC)
	_, err = os.Create(filepath.Join(dir, "b"))
	wants(t, "create", err, syscall.ENOSPC)
	wants(t, "make a directory", os.Mkdir(filepath.Join(dir, "c"), 0o700), syscall.ENOSPC)
	wants(t, "fsync", a.Sync(), nil)
	var s syscall.Statfs_t
	must(t, syscall.Statfs(dir, &s))
	if s.Bavail != 0 || s.Blocks == 0 {
		t.Errorf("%d of %d blocks are free", s.Bavail, s.Blocks)
	}
	mend()
	mend()
	_, err = a.WriteAt([]byte("but now"), 3*pageSize-1)
	must(t, err)
	must(t, syscall.Statfs(dir, &s))
	if s.Bavail == 0 || f.Seen().Full < 4 {
		t.Errorf("%d blocks are free, %+v", s.Bavail, f.Seen())
	}
}

func TestFail(t *testing.T) {
	f, dir := mounted(t)
	a := open(t, filepath.Join(dir, "a"))
	_, err := a.WriteString("before")
	must(t, err)
	mend := f.Fail()
	_, err = a.WriteAt([]byte("during"), 0)
	wants(t, "write", err, syscall.EIO)
	wants(t, "fsync", a.Sync(), syscall.EIO)
	wants(t, "truncate", a.Truncate(0), syscall.EIO)
	_, err = os.Create(filepath.Join(dir, "b"))
	wants(t, "create", err, syscall.EIO)
	wants(t, "rename", os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "b")), syscall.EIO)
	wants(t, "remove", os.Remove(filepath.Join(dir, "a")), syscall.EIO)
	holds(t, dir, map[string]string{"a": "before"})
	if f.Seen().Failed != 6 {
		t.Errorf("%+v", f.Seen())
	}
	mend()
	_, err = a.WriteAt([]byte("after "), 0)
	must(t, errors.Join(err, a.Sync()))
	holds(t, dir, map[string]string{"a": "after "})
}

func TestSlow(t *testing.T) {
	f, dir := mounted(t)
	a := open(t, filepath.Join(dir, "a"))
	const least = 50 * time.Millisecond
	mend := f.Slow(least)
	began := time.Now()
	must(t, a.Sync())
	if took := time.Since(began); took < least {
		t.Errorf("fsync took %v", took)
	}
	mend()
	began = time.Now()
	must(t, a.Sync())
	if took := time.Since(began); took > least {
		t.Errorf("mended, fsync took %v", took)
	}
}

// eventually waits until the calls have met the fault.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// shell is a process that may hang. This one must not: should it be ended, the kernel
// would wait for answers that only it can give.
func shell(t *testing.T, dir, command string) *exec.Cmd {
	t.Helper()
	// Not by cmd.Dir: between fork and exec this process stands still.
	cmd := exec.Command("sh", "-c", `exec 2>/dev/null; cd "$0" && `+command, dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, cmd.Start())
	return cmd
}

// hanging are commands that the fault stops.
var hanging = map[string]string{
	"write": "echo during >> a", "fsync": "exec sync a", "create": "echo during > b", "rename": "exec mv a b", "truncate": ": > a",
}

func TestHang_Mended(t *testing.T) {
	for name, command := range hanging {
		t.Run(name, func(t *testing.T) {
			f, dir := mounted(t)
			put(t, filepath.Join(dir, "a"), "before")
			put(t, filepath.Join(dir, "other"), "other")
			_, err := os.Stat(filepath.Join(dir, "other")) // so that nobody has to look into the directory
			must(t, err)
			mend := f.Hang()
			defer mend()
			cmd := shell(t, dir, command)
			eventually(t, "it hangs", func() bool { return f.Seen().Hung == 1 })
			if b, err := os.ReadFile(filepath.Join(dir, "other")); err != nil || string(b) != "other" {
				t.Errorf("read %q, %v meanwhile", b, err)
			}
			mend()
			must(t, cmd.Wait())
			if now := content(t, dir); name != "fsync" && now["a"] == "before" && now["b"] == "" {
				t.Error("it had no effect")
			}
		})
	}
}

// Who hangs in two faults goes on when both are mended.
func TestHang_Twice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f faults
		mends := []func(){f.spoil(fault{kind: hung}), f.spoil(fault{kind: hung})}
		done := make(chan syscall.Errno, 1)
		go func() { done <- f.admit(call{}) }()
		for _, mend := range mends {
			<-time.After(time.Minute)
			select {
			case errno := <-done:
				t.Fatalf("it returned too early: %v", errno)
			default:
			}
			mend()
		}
		if errno := <-done; errno != 0 || f.seen[hung] != 1 {
			t.Errorf("it returned %v, and met %d faults", errno, f.seen[hung])
		}
	})
}

func TestHang_EndsWithTheFileSystem(t *testing.T) {
	for name, command := range hanging {
		t.Run(name, func(t *testing.T) {
			f, dir := mounted(t)
			put(t, filepath.Join(dir, "a"), "before")
			defer f.Hang()()
			cmd := shell(t, dir, command)
			eventually(t, "it hangs", func() bool { return f.Seen().Hung == 1 })
			must(t, f.Close())
			if err := cmd.Wait(); err == nil {
				t.Error("it ended well")
			}
			holds(t, dir, map[string]string{"a": "before"})
		})
	}
}

// The kernel lets a process wait for the answer even if it was killed.
func TestHang_ProcessesCanBeKilled(t *testing.T) {
	for name, command := range hanging {
		t.Run(name, func(t *testing.T) {
			f, dir := mounted(t)
			put(t, filepath.Join(dir, "a"), "before")
			defer f.Hang()()
			cmd := shell(t, dir, command)
			eventually(t, "it hangs", func() bool { return f.Seen().Hung == 1 })
			must(t, syscall.Kill(cmd.Process.Pid, syscall.SIGKILL))
			if err := cmd.Wait(); err == nil {
				t.Error("it ended well")
			}
			if name != "fsync" && name != "rename" {
				holds(t, dir, map[string]string{"a": "before"})
			}
		})
	}
}
