//go:build !linux

package faultfs

import "errors"

var errLinux = errors.New("file systems with faults need Linux")

// Able tells in words why nothing can be mounted here.
func Able() error { return errLinux }

type mount struct{}

func (f *FS) remount() error { return errLinux }
func (f *FS) unmount() error { return errLinux }

func killed(uint32) bool { return false }

type rescue struct{}

func newRescue(string) (*rescue, error) { return nil, errLinux }
func (r *rescue) end()                  {}
