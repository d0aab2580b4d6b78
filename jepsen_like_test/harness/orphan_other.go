//go:build !linux

package harness

import "syscall"

// diesWithParent: no other kernel offers it. Close still ends every child.
func diesWithParent() *syscall.SysProcAttr { return nil }
