package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	rejoinInterval = 5 * time.Second
	rejoinUrgent   = 500 * time.Millisecond // until this server is admitted
	rejoinAtOnce   = 64                     // a dead address may take the whole stream timeout to say nothing
	drainTimeout   = 2 * time.Second
	maxNamed       = 3 // sources whose problems are told
)

// seeds brings this server together with others, and together again: memberlist
// forgets the dead after half a minute and a healed partition would stay two halves
// for ever (memberlist#222). Every way to find others (addresses, names, SRV
// records, a file, the host's callback, what gossip and the Raft log remember) feeds
// the one list of a pass.
type seeds struct {
	fixed   []string  // IP:PORT
	sources []*source // of the configuration
	known   *source   // host names in the Raft log
	self    Member
	dir     *directory
	config  func() []Server // addresses known from the Raft log outlast a restart
	join    func(gossipAddr string) error
	logger  *slog.Logger

	asked     atomic.Bool // all sources have been asked once, and given time to answer
	contacted atomic.Bool // see pass

	said bool // of the goroutine that runs: a problem has been logged
}

// newSeeds expects checked seeds. urgent tells whether this server still looks for
// its cluster.
func newSeeds(o Options, dir *directory, join func(string) error, urgent func() bool, log *slog.Logger) *seeds {
	l := lookups{orSystem(o.Resolver)}
	s := &seeds{
		self: o.Self, dir: dir, join: join, logger: log,
		config: func() []Server { servers, _ := o.Consensus.Configuration(); return servers },
	}
	s.known = &source{name: "addresses in the log", ask: func(ctx context.Context) ([]string, error) {
		_, names := s.configured()
		return l.resolve(ctx, names)
	}}
	for _, seed := range o.Seeds {
		if seed == o.Self.Addr {
			continue
		}
		src := &source{name: seed}
		switch way, rest := SeedWay(seed); {
		case way == "srv":
			src.ask = func(ctx context.Context) ([]string, error) { return l.service(ctx, rest) }
		case way == "file":
			src.ask = func(ctx context.Context) ([]string, error) { return l.file(ctx, rest) }
		case literal(seed) != "":
			s.fixed = append(s.fixed, literal(seed))
			continue
		default:
			src.ask = func(ctx context.Context) ([]string, error) { return l.resolveOne(ctx, seed) }
		}
		s.sources = append(s.sources, src)
	}
	if discover := o.Discover; discover != nil {
		s.sources = append(s.sources, &source{
			name: "Discover",
			ask:  func(ctx context.Context) ([]string, error) { return l.callback(ctx, discover) },
			due:  func() bool { return urgent() || !s.whole() }, // it may cost the host something
		})
	}
	return s
}

// run passes over all addresses for ever. passed is called after each pass.
func (s *seeds) run(ctx context.Context, urgent func() bool, passed func()) {
	for ctx.Err() == nil {
		s.pass(ctx)
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

// pass asks all sources and then tries every address where no live process is
// known, several at once: a dead one may take seconds to say nothing.
//
// After the first one for which every source of the configuration has had an answer,
// an existing cluster would have been seen: contacted. Nobody founds a cluster because
// a name server or a callback was out of order.
func (s *seeds) pass(ctx context.Context) {
	s.ask(ctx)
	s.asked.Store(ctx.Err() == nil)
	all := !slices.ContainsFunc(s.sources, func(src *source) bool { return !src.answered() })
	s.tell()
	literals, _ := s.configured()
	first := s.others(append(append(s.found(), literals...), s.known.addresses()...))
	rest := s.others(s.dir.missing())
	rest = slices.DeleteFunc(rest, func(a string) bool { return slices.Contains(first, a) })
	s.joinAll(ctx, append(first, rest...))
	if all && ctx.Err() == nil {
		s.contacted.Store(true)
	}
}

// ask asks all sources at once and waits for a while.
func (s *seeds) ask(ctx context.Context) {
	patience := time.NewTimer(askPatience)
	defer patience.Stop()
	var answers []<-chan struct{}
	for _, src := range append([]*source{s.known}, s.sources...) {
		if answer := src.start(ctx); answer != nil {
			answers = append(answers, answer)
		}
	}
	for _, answer := range answers {
		select {
		case <-answer:
		case <-patience.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// found are the seeds' addresses as the last pass knew them.
func (s *seeds) found() []string {
	addrs := slices.Clone(s.fixed)
	for _, src := range s.sources {
		addrs = append(addrs, src.addresses()...)
	}
	return addrs
}

// strangers are the seeds but for our own address.
func (s *seeds) strangers() []string {
	addrs := s.found()
	slices.Sort(addrs)
	return slices.DeleteFunc(slices.Compact(addrs), func(a string) bool { return a == s.dir.self.gossipAddr })
}

// others are the addresses without doubles and those where somebody is known to
// live, which includes our own; in random order.
func (s *seeds) others(addrs []string) []string {
	slices.Sort(addrs)
	addrs = slices.DeleteFunc(slices.Compact(addrs), s.dir.live)
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	return addrs
}

func (s *seeds) joinAll(ctx context.Context, addrs []string) {
	var group sync.WaitGroup
	defer group.Wait()
	slots := make(chan struct{}, rejoinAtOnce)
	for _, addr := range addrs {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		group.Go(func() {
			defer func() { <-slots }()
			if err := s.join(addr); err != nil {
				s.logger.Debug("gossip: no answer", "addr", addr, "error", err)
			}
		})
	}
}

// configured are the other servers' addresses in the Raft log: those that are IP
// addresses, and those whose names have to be looked up.
func (s *seeds) configured() (literals, names []string) {
	for _, c := range s.config() {
		if c.Addr == s.self.Addr {
			continue
		}
		if ip := literal(c.Addr); ip != "" {
			literals = append(literals, ip)
		} else {
			names = append(names, c.Addr)
		}
	}
	return literals, names
}

// whole: every server of the configuration is in sight.
func (s *seeds) whole() bool {
	live := make(map[string]bool)
	for _, m := range s.dir.members() {
		live[m.NodeID] = true
	}
	servers := s.config()
	return len(servers) > 0 && !slices.ContainsFunc(servers, func(c Server) bool { return !live[c.NodeID] })
}

// problem says in words what is wrong with the seeds, "" if nothing. What is in the
// log is no setting of this server's.
func (s *seeds) problem() string {
	var words []string
	for _, src := range s.sources {
		if p := src.problem(); p != "" {
			words = append(words, p)
		}
	}
	if more := len(words) - maxNamed; more > 0 {
		words = append(words[:maxNamed], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, "; ")
}

// tell logs that something is wrong, and that it is right again.
func (s *seeds) tell() {
	problem := s.problem()
	switch said := s.said; {
	case problem != "" && !said:
		s.logger.Warn("looking for other servers", "problem", problem)
	case problem == "" && said:
		s.logger.Info("looking for other servers works again")
	}
	s.said = problem != ""
}

// drain waits, bounded, for questions that are under way; their context has ended.
func (s *seeds) drain() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	var errs []error
	for _, src := range append([]*source{s.known}, s.sources...) {
		errs = append(errs, src.drain(ctx))
	}
	return errors.Join(errs...)
}

// literal is IP:PORT if the address is of that kind, else "".
func literal(addr string) string {
	at, err := netip.ParseAddrPort(addr)
	if err != nil || at.Port() == 0 {
		return ""
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()).String()
}
