package proc

import "syscall"

// childAttributes: the kernel kills a child whose parent is gone, should it not
// notice that its stdin ended.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
