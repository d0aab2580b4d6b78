package harness

import "syscall"

// diesWithParent makes the kernel kill a child whose parent was killed itself,
// for example by the timeout of go test.
func diesWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
