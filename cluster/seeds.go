package cluster

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	rejoinInterval  = 5 * time.Second
	rejoinUrgent    = 500 * time.Millisecond // until this server is admitted
	rejoinAtOnce    = 16
	maxSeedsPerName = 64
)

// seeds brings this server together with others, and together again:
// memberlist forgets the dead after half a minute and a healed partition would
// stay two halves for ever (memberlist#222).
type seeds struct {
	names  []string // HOST:PORT
	self   Member
	dir    *directory
	config func() []Server // addresses known from the Raft log outlast a restart
	join   func(gossipAddr string) error
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	logger *slog.Logger

	contacted atomic.Bool // the first pass is over
}

func lookupHost(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// run passes over all addresses for ever. passed is called after each pass.
func (s *seeds) run(ctx context.Context, urgent func() bool, passed func()) {
	for ctx.Err() == nil {
		s.pass(ctx)
		s.contacted.Store(true)
		passed()
		pause := rejoinInterval
		if urgent() {
			pause = rejoinUrgent
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// pass tries every address where no live process is known, several at once: a
// dead one may take seconds to say nothing.
func (s *seeds) pass(ctx context.Context) {
	addrs := s.resolve(ctx, s.names)
	addrs = append(addrs, s.dir.missing()...)
	var configured []string
	for _, c := range s.config() {
		configured = append(configured, c.Addr)
	}
	addrs = append(addrs, s.resolve(ctx, configured)...)
	slices.Sort(addrs)
	addrs = slices.DeleteFunc(slices.Compact(addrs), s.dir.live) // our own is live too
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })

	var group sync.WaitGroup
	slots := make(chan struct{}, rejoinAtOnce)
	for _, addr := range addrs {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			group.Wait()
			return
		}
		group.Go(func() {
			defer func() { <-slots }()
			if err := s.join(addr); err != nil {
				s.logger.Debug("gossip: no answer", "addr", addr, "error", err)
			}
		})
	}
	group.Wait()
}

// resolve turns names into all their addresses, anew each time, and leaves our
// own name out.
func (s *seeds) resolve(ctx context.Context, names []string) []string {
	var out []string
	for _, name := range names {
		if name == s.self.Addr {
			continue
		}
		host, port, err := net.SplitHostPort(name)
		if err != nil {
			continue // Open has checked the seeds
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			continue
		}
		if ip, err := netip.ParseAddr(host); err == nil {
			out = append(out, netip.AddrPortFrom(ip.Unmap(), uint16(n)).String())
			continue
		}
		lctx, cancel := context.WithTimeout(ctx, lookupTimeout)
		ips, err := s.lookup(lctx, host)
		cancel()
		if err != nil {
			s.logger.Debug("cannot resolve a server's name", "name", host, "error", err)
			continue
		}
		for _, ip := range ips[:min(len(ips), maxSeedsPerName)] {
			out = append(out, netip.AddrPortFrom(ip.Unmap(), uint16(n)).String())
		}
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(a string) bool { return a == s.dir.self.gossipAddr })
}
