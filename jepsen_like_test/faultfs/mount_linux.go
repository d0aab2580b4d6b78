package faultfs

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Able tells in words why nothing can be mounted here; nil: it can.
func Able() error {
	if os.Geteuid() != 0 {
		return errors.New("to mount a file system needs root")
	}
	device, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("no file systems in user space here: %w", err)
	}
	return device.Close()
}

// mount is one time of being mounted. The kernel's caches of files, names and attributes
// begin and end with it.
type mount struct {
	going chan struct{} // closed to let go those who wait
	ended chan struct{} // closed when no request is under way any more
}

// always is for how long the kernel may believe what it has cached: all changes come
// through it.
var always = 24 * time.Hour

func (f *FS) remount() error {
	// Not by go-fuse, whose descriptor the servers would inherit: they would hang for
	// ever, and not fail, after the end of this process.
	device, err := syscall.Open("/dev/fuse", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /dev/fuse: %w", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", device)
	if err := syscall.Mount("faultfs", f.dir, "fuse.faultfs", syscall.MS_NOSUID|syscall.MS_NODEV, options); err != nil {
		return errors.Join(fmt.Errorf("mount over %s: %w", f.dir, err), syscall.Close(device))
	}
	m := &mount{going: make(chan struct{}), ended: make(chan struct{})}
	root := &dirNode{over: over{f, m}, dir: f.tree.root}
	server, err := fuse.NewServer(fs.NewNodeFS(root, &fs.Options{EntryTimeout: &always, AttrTimeout: &always}), fmt.Sprint("/dev/fd/", device), &fuse.MountOptions{
		DisableXAttrs: true, DisableReadDirPlus: true, DisableSplice: true, ExplicitDataCacheControl: true,
		Logger:       log.New(io.Discard, "", 0), // answers that come too late
		PanicHandler: func(v any) fuse.Status { panic(v) },
	})
	if err != nil { // go-fuse has closed the descriptor, or will
		return errors.Join(fmt.Errorf("serve %s: %w", f.dir, err), syscall.Unmount(f.dir, syscall.MNT_DETACH))
	}
	f.mount = m
	go func() {
		defer close(m.ended)
		server.Serve()
	}()
	return refusePolls(f.dir)
}

// refusePolls makes the kernel stop asking whether files are ready. The runtime of Go
// asks when it opens one, and if that is in this process, nobody might be left to answer.
// It is go-fuse's own way, which it does not go where somebody else has mounted.
func refusePolls(dir string) error {
	fd, err := syscall.Open(filepath.Join(dir, ".go-fuse-epoll-hack"), syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("begin to use %s: %w", dir, err)
	}
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return syscall.Close(fd)
}

// unmount ends what is under way with errors.
func (f *FS) unmount() error {
	if f.mount == nil {
		return fmt.Errorf("%s is not mounted", f.dir)
	}
	close(f.mount.going)
	// Force: from here on everybody gets errors, so there is no waiting for anybody.
	if err := syscall.Unmount(f.dir, syscall.MNT_FORCE|syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", f.dir, err)
	}
	<-f.mount.ended
	f.mount = nil
	return nil
}

// killed reports whether a thread is about to end.
func killed(thread uint32) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", thread))
	if errors.Is(err, os.ErrNotExist) {
		return thread != 0 // 0 is the kernel itself
	}
	for line := range strings.Lines(string(status)) {
		pending, ok := strings.CutPrefix(line, "SigPnd:")
		if !ok {
			pending, ok = strings.CutPrefix(line, "ShdPnd:")
		}
		if !ok {
			continue
		}
		mask, err := strconv.ParseUint(strings.TrimSpace(pending), 16, 64)
		if err == nil && mask&(1<<(syscall.SIGKILL-1)) != 0 {
			return true
		}
	}
	return false
}

// rescue unmounts should this process be killed: who then uses the directory, or wants to
// remove it, would get errors until somebody does. It looks, rather than waiting for a
// pipe to be closed: what keeps a killed process from ending may be an open file in here.
type rescue struct{ cmd *exec.Cmd }

const watch = `while sleep 1; do
	read -r _ _ state _ < "/proc/$1/stat" || state=X
	case $state in Z|X) exec umount -f -l "$0";; esac
done`

func newRescue(dir string) (*rescue, error) {
	cmd := exec.Command("sh", "-c", watch, dir, strconv.Itoa(os.Getpid()))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // the terminal's signals are not for it
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start what unmounts %s at last: %w", dir, err)
	}
	return &rescue{cmd}, nil
}

// end ends it and what it has started, by their group.
func (r *rescue) end() {
	_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
	_ = r.cmd.Wait()
}
