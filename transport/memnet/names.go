package memnet

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
)

// names is the network's name server: answers come at once, and from nowhere that could be cut off.
type names struct {
	mu       sync.Mutex // guards what follows
	hosts    map[string][]netip.Addr
	services map[string][]net.SRV
}

// SetName makes a host name stand for these IP addresses from now on; without any it is unknown again. Text that is
// no IP address is left out.
func (n *Net) SetName(host string, ips ...string) {
	var addrs []netip.Addr
	for _, ip := range ips {
		if addr, err := parseIP(ip); err == nil {
			addrs = append(addrs, addr)
		}
	}
	n.names.mu.Lock()
	defer n.names.mu.Unlock()
	n.names.hosts[host] = addrs
}

// SetService gives a name these SRV records from now on; without any it is unknown again.
func (n *Net) SetService(name string, records ...net.SRV) {
	n.names.mu.Lock()
	defer n.names.mu.Unlock()
	n.names.services[name] = slices.Clone(records)
}

func (n *names) host(name string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.hosts[name]) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return slices.Clone(n.hosts[name]), nil
}

// LookupNetIP is that of a net.Resolver. An IP address stands for itself.
func (p *Process) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if ip, err := parseIP(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	return p.host.net.names.host(host)
}

// LookupSRV is that of a net.Resolver. Only whole names are known, without service and protocol beside them.
func (p *Process) LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error) {
	if err := ctx.Err(); err != nil {
		return "", nil, err
	}
	n := &p.host.net.names
	n.mu.Lock()
	defer n.mu.Unlock()
	records := n.services[name]
	if service != "" || proto != "" || len(records) == 0 {
		return "", nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	var found []*net.SRV
	for _, r := range records {
		found = append(found, &r)
	}
	return name, found, nil
}
