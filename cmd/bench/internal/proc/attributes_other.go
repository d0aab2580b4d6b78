//go:build !linux

package proc

import "syscall"

func childAttributes() *syscall.SysProcAttr { return nil }
