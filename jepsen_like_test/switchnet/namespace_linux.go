package switchnet

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// ownNamespace names the network namespace that the calling thread is in.
const ownNamespace = "/proc/thread-self/ns/net"

// namespace is a network namespace that nothing but this file descriptor, and the
// processes in it, keeps.
type namespace struct{ file *os.File }

func newNamespace() (*namespace, error) {
	var s *namespace
	err := aside(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return notHere("make a network namespace", err)
		}
		file, err := os.Open(ownNamespace)
		if err != nil {
			return err
		}
		s = &namespace{file}
		return up("lo")
	})
	if err != nil && s != nil {
		err = errors.Join(err, s.close())
	}
	return s, err
}

// within runs do on a thread that is in the namespace.
func (s *namespace) within(do func() error) error {
	return aside(func() error {
		if err := enter(s.file); err != nil {
			return err
		}
		return do()
	})
}

// openDevice makes the namespace's device.
func (s *namespace) openDevice() (device *os.File, label string, err error) {
	err = s.within(func() (err error) {
		device, label, err = openTUN("tun%d")
		return err
	})
	return device, label, err
}

func (s *namespace) close() error { return s.file.Close() }

func enter(space *os.File) error {
	if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter a network namespace: %w", err)
	}
	return nil
}

// aside runs do on a thread that no other goroutine uses, and takes the thread back
// to the namespace it came from: the runtime uses it again, and it must not end,
// because its end would be that of the processes it started (orphan_linux.go in
// harness).
func aside(do func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open(ownNamespace)
		if err != nil {
			runtime.UnlockOSThread()
			result <- err
			return
		}
		defer home.Close()
		err = do()
		if lost := enter(home); lost != nil {
			// In the wrong place it is of use to nobody: it stays locked, so it ends now.
			result <- errors.Join(err, lost)
			return
		}
		runtime.UnlockOSThread()
		result <- err
	}()
	return <-result
}
