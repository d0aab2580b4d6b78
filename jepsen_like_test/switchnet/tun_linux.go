package switchnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// label is how devices of this process begin; the kernel puts a number behind it that
// no other one has.
const label = "gcnet"

// benchmarks is a range that RFC 2544 set aside for tests of networks, so nobody's
// real network has it. Each network takes the 256 addresses of its number.
var benchmarks = netip.MustParsePrefix("198.18.0.0/15")

// networks is how many fit into the range.
const networks = 512

// openClientsDevice makes this process's device, and finds a range of addresses.
func openClientsDevice() (device *os.File, name string, prefix netip.Prefix, err error) {
	var passedOver []*os.File // open until the end, so that the next has another number
	defer func() {
		for _, f := range passedOver {
			err = errors.Join(err, f.Close())
		}
	}()
	used, err := net.InterfaceAddrs()
	if err != nil {
		return nil, "", netip.Prefix{}, fmt.Errorf("list addresses: %w", err)
	}
	for range networks {
		if device, name, err = openTUN(label + "%d"); err != nil {
			return nil, "", netip.Prefix{}, err
		}
		number, err := strconv.Atoi(strings.TrimPrefix(name, label))
		if err == nil && number < networks {
			first := benchmarks.Addr().As4()
			first[1] += byte(number / 256)
			first[2] = byte(number % 256)
			if prefix = netip.PrefixFrom(netip.AddrFrom4(first), 24); !overlaps(prefix, used) {
				return device, name, prefix, nil
			}
		}
		passedOver = append(passedOver, device)
	}
	return nil, "", netip.Prefix{}, fmt.Errorf("no free range of addresses in %v", benchmarks)
}

func overlaps(prefix netip.Prefix, used []net.Addr) bool {
	return slices.ContainsFunc(used, func(a net.Addr) bool {
		other, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Overlaps(other.Masked())
	})
}

// openTUN makes a device in the namespace of the calling thread. It is there until
// the file is closed.
func openTUN(pattern string) (device *os.File, name string, err error) {
	const path = "/dev/net/tun"
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, "", notHere("open "+path, err)
	}
	request, err := unix.NewIfreq(pattern)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		return nil, "", errors.Join(notHere("make a TUN device", err), unix.Close(fd))
	}
	// Only now: before it has a device the runtime's poller could not watch it.
	return os.NewFile(uintptr(fd), request.Name()), request.Name(), nil
}

// configure gives a device of the calling thread's namespace its address, and with it
// the route to all others.
func configure(name string, addr netip.Addr, bits int) error {
	mask := net.CIDRMask(bits, 32)
	return ask(name,
		setting{unix.SIOCSIFMTU, func(r *unix.Ifreq) error { r.SetUint32(mtu); return nil }},
		setting{unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(addr.AsSlice()) }},
		setting{unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr(mask) }},
		switchOn,
	)
}

func up(name string) error { return ask(name, switchOn) }

// setting is one request about a device.
type setting struct {
	request uint
	value   func(*unix.Ifreq) error
}

var switchOn = setting{unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP); return nil }}

func ask(name string, settings ...setting) (err error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket to configure %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, unix.Close(socket)) }()
	for _, s := range settings {
		r, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		if err := s.value(r); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(socket, s.request, r); err != nil {
			return fmt.Errorf("configure %s: %w", name, err)
		}
	}
	return nil
}

// notHere tells what this machine or user can't do from what went wrong.
func notHere(what string, err error) error {
	for _, reason := range []error{unix.EPERM, unix.EACCES, unix.ENOENT, unix.ENODEV, unix.ENXIO, unix.ENOSYS, unix.EINVAL} {
		if errors.Is(err, reason) {
			return fmt.Errorf("%w: %s: %w", ErrNotHere, what, err)
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}
