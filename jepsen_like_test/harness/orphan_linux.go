package harness

import "syscall"

// DiesWithParent makes the kernel kill a child whose parent was killed itself,
// for example by the timeout of go test.
func DiesWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
