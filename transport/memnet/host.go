package memnet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
)

// The range of ports that the system chooses from, as on Linux.
const (
	firstFreePort = 32768
	lastFreePort  = 60999
)

// Host is a machine with one IP address. A wildcard or loopback address to listen on means that address, so
// that a node configured for either can be reached from other hosts; a loopback address to dial is the host itself.
type Host struct {
	net  *Net
	addr netip.Addr
	err  error // of an address that is none

	// Guarded by net.mu.
	listeners map[uint16]*listener
	packets   map[uint16]*packetConn
	processes map[*Process]struct{} // those alive
	own       *Process              // behind the Host's own calls; a new one after each Crash
	nextPort  uint16
}

func newHost(n *Net, addr netip.Addr, err error) *Host {
	h := &Host{
		net:       n,
		addr:      addr,
		err:       err,
		listeners: make(map[uint16]*listener),
		packets:   make(map[uint16]*packetConn),
		processes: make(map[*Process]struct{}),
		nextPort:  firstFreePort,
	}
	h.own = h.startLocked()
	return h
}

// Process starts a process on this machine: a network that is dead for ever after the next Crash of the host.
// A node that a test kills is to be given one, or its remains could still talk to others through the Host.
func (h *Host) Process() *Process {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	return h.startLocked()
}

func (h *Host) startLocked() *Process {
	p := &Process{host: h, sockets: make(map[socket]struct{})}
	h.processes[p] = struct{}{}
	return p
}

// Listen, ListenPacket and DialContext act for whatever process runs on the machine when they are called.
func (h *Host) Listen(network, address string) (net.Listener, error) {
	return h.present().Listen(network, address)
}

// ListenPacket is like Listen.
func (h *Host) ListenPacket(network, address string) (net.PacketConn, error) {
	return h.present().ListenPacket(network, address)
}

// DialContext is like Listen.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return h.present().DialContext(ctx, network, address)
}

func (h *Host) present() *Process {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	return h.own
}

// Crash ends all sockets of the machine at once, as SIGKILL of all its processes would. Peers see a reset, after the
// latency or when a cut heals; later dials are refused. Here, whoever uses such a socket gets net.ErrClosed.
// The host can be used again at once, with the same ports.
func (h *Host) Crash() {
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for p := range h.processes {
		p.dead = true
		for s := range p.sockets {
			s.killLocked()
		}
		p.sockets = nil
	}
	clear(h.processes)
	h.own = h.startLocked()
	n.wakeDialsLocked()
}

// socket is what a process has open.
type socket interface {
	// killLocked ends it as the death of its process does. Net.mu is held.
	killLocked()
}

// Process is one process of a Host, and satisfies package transport's Network as the host does. After a Crash of
// the host all its calls fail with net.ErrClosed.
type Process struct {
	host *Host

	// Guarded by Net.mu.
	dead    bool
	sockets map[socket]struct{} // nil when dead
}

// resolve reads an address to dial or send to. A name of several addresses stands for its first.
func (h *Host) resolve(address string) (netip.AddrPort, error) {
	if h.err != nil {
		return netip.AddrPort{}, h.err
	}
	name, service, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return netip.AddrPort{}, &net.AddrError{Err: "invalid port", Addr: address}
	}
	if name == "" || name == "localhost" {
		return netip.AddrPortFrom(h.addr, uint16(port)), nil
	}
	ip, err := parseIP(name)
	if err != nil {
		known, err := h.net.names.host(name)
		if err != nil {
			return netip.AddrPort{}, err
		}
		ip = known[0]
	}
	return netip.AddrPortFrom(h.ownIfLocal(ip), uint16(port)), nil
}

func (h *Host) ownIfLocal(ip netip.Addr) netip.Addr {
	if ip.IsUnspecified() || ip.IsLoopback() {
		return h.addr
	}
	return ip
}

// resolveOwn reads an address to bind.
func (h *Host) resolveOwn(address string) (netip.AddrPort, error) {
	at, err := h.resolve(address)
	if err == nil && at.Addr() != h.addr {
		err = os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)
	}
	return at, err
}

// pickPort returns want if it is not taken, and a free port if want is 0.
func (h *Host) pickPort(want uint16, taken func(uint16) bool) (uint16, error) {
	if want != 0 {
		if taken(want) {
			return 0, os.NewSyscallError("bind", syscall.EADDRINUSE)
		}
		return want, nil
	}
	for range lastFreePort - firstFreePort + 1 {
		port := h.nextPort
		h.nextPort++
		if h.nextPort > lastFreePort {
			h.nextPort = firstFreePort
		}
		if !taken(port) {
			return port, nil
		}
	}
	return 0, os.NewSyscallError("bind", fmt.Errorf("no free port: %w", syscall.EADDRINUSE))
}

func (h *Host) listening(port uint16) bool { return h.listeners[port] != nil }

func (h *Host) receiving(port uint16) bool { return h.packets[port] != nil }
