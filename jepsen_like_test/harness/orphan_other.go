//go:build !linux

package harness

import "syscall"

// DiesWithParent: no other kernel offers it. Close still ends every child.
func DiesWithParent() *syscall.SysProcAttr { return nil }
