//go:build !linux

package switchnet

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
)

// namespace: no other kernel has them.
type namespace struct{}

func newNamespace() (*namespace, error) { return nil, errOther() }

func (*namespace) within(func() error) error { return errOther() }

func (*namespace) openDevice() (*os.File, string, error) { return nil, "", errOther() }

func (*namespace) close() error { return nil }

func openClientsDevice() (*os.File, string, netip.Prefix, error) {
	return nil, "", netip.Prefix{}, errOther()
}

func configure(string, netip.Addr, int) error { return errOther() }

func errOther() error { return fmt.Errorf("%w: this is %s, not Linux", ErrNotHere, runtime.GOOS) }
