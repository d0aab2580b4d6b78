package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pofresh/globalchannel/cluster"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/transport"
)

// Network is how a node listens, dials and exchanges packets. nil in Config is
// the real one; tests inject an in-memory network.
type Network = transport.Network

// Config tells a node who it is and where it finds the others.
// Config{SID: "a", SType: "b"} works: one server, in memory, on loopback, at any
// free port. Start copies it and never writes to it.
type Config struct {
	// Who. 1 to 64 bytes of UTF-8 without NUL.
	SID   string // unique, stable over restarts
	SType string // the kind of server: "connector", "chat"...
	Zone  string // optional

	// Where. One port number for Raft, gRPC (TCP) and gossip (TCP and UDP).
	Listen    string // host:port; default 127.0.0.1:0, any free port
	Advertise string // host:port that others dial; default: where Listen was bound

	// With whom. Join has host:port of any servers (a name stands for all its
	// addresses), srv:NAME (all targets and ports of the SRV records, as in
	// srv:_raft._tcp.servers.example) and file:PATH (host:ports on lines or separated by
	// commas, comments from #). Names and files are looked up again on each try. The own
	// address is allowed; alone it waits for others.
	//
	// Discover finds host:ports in any other way. It is asked again until this server is
	// in its cluster and sees all others, and from then on whenever one is missing; one
	// call at a time, in a goroutine of its own, with a context of 10 s. An error, a panic
	// or a call that hangs costs nothing but what it would have found, and Status.Problem
	// tells of it. At most 256 addresses of an answer are used.
	Join     []string
	Discover func(context.Context) ([]string, error)
	Expect   int      // the same N on exactly the N founding servers; 0: only join, or, without Join and Discover, found alone
	NonVoter bool     // never a voter: for servers that come and go
	Cluster  Settings // taken at founding, replicated from then on

	// What is kept.
	DataDir  string   // "": memory only; a restart is then a new node
	LogStore LogStore // how DataDir keeps the log: BoltDB (default) or WAL; without DataDir it says nothing

	// What the host does.
	OnPush         PushHandler                   // non-nil makes this server a frontend
	Online         func(uid string) bool         // asked every 30 s and after a resume: members of this server that are offline are removed
	OnFenced       func(context.Context, Fenced) // this life was declared over; the context ends with the node
	ChannelManager ChannelManager                // the user's own store of channels, the same for all servers; nil: the replicated one
	CleanOnStartUp bool                          // destroy all channels once ready, but only if no other server is up

	// How it is protected.
	Secret   []byte      // at least 16 bytes, the same everywhere: mutual TLS 1.3 and the gossip key follow from it
	TLS      *tls.Config // own PKI for the connections; off loopback Secret is still required, for gossip
	Insecure bool        // allow a non-loopback Listen without Secret

	Timeout time.Duration // of calls whose context has no deadline; default 5 s
	Logger  *slog.Logger  // nil: silent
	Network Network       // nil: the real one. If it has LookupNetIP and LookupSRV as a net.Resolver does, names are looked up there
}

// Settings are one value for the whole cluster: taken at founding and replicated.
// Zero fields are the defaults. A server whose own value differs logs it and
// follows the cluster.
type Settings struct {
	ReapAfter    time.Duration // default 10 s, at least 3 s
	ForgetAfter  time.Duration // default 10 min
	RemoveAfter  time.Duration // default 1 h: a server that is silent for so long leaves the configuration
	MaxVoters    int           // 1 to 9, default 5
	Limits       Limits
	ExternalSIDs bool // accept Add for a sid that never registered; default: ErrUnknownServer
}

// Limits bound what the cluster accepts.
type Limits struct {
	MessageBytes int // of a push; default 1 MiB, at most 4 MiB

	// How much the state may hold; 0: no limit. An Add or a registration beyond it gets
	// ErrLimit, whoever asks and wherever. What is there stays where a limit is lowered
	// below it, and may be added again or come back. They count, those of the founding
	// too, from feature level 4 on (Status.Level); all founders must know them.
	Members  int // memberships: one for each channel, uid and sid; with those of ended lives that may come back
	Channels int // that have members, or some that may come back
	Servers  int // that are up, attached frontends included
}

const (
	defaultTimeout   = 5 * time.Second
	defaultMessage   = 1 << 20
	maxMessage       = 4 << 20
	defaultMaxVoters = 5
	maxMaxVoters     = 9
	minReapAfter     = 3 * time.Second
	minSecret        = 16
	maxHost          = 253 // bytes, of any name in DNS
	maxAnnounced     = 150 // bytes of the SID and an advertised name together: what gossip has room for
)

// withDefaults validates c and fills in what was left out.
func (c Config) withDefaults() (Config, error) {
	c.Join = slices.Clone(c.Join)
	c.Secret = slices.Clone(c.Secret)
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	// With nobody to join and no founders named, this server is the cluster.
	if c.alone() && c.Expect == 0 {
		c.Expect = 1
	}
	return c, c.validate()
}

// alone: there is no way to find others.
func (c Config) alone() bool { return len(c.Join) == 0 && c.Discover == nil }

func (c Config) validate() error {
	errs := []error{
		configField("SID", checkSID(c.SID)),
		configField("SType", checkSType(c.SType)),
		c.validateAddresses(),
		c.validateFounding(),
		c.Cluster.validate(),
		c.LogStore.check(),
	}
	if c.Zone != "" {
		errs = append(errs, configField("Zone", checkText("zone", c.Zone, maxSID)))
	}
	if len(c.Secret) > 0 && len(c.Secret) < minSecret {
		errs = append(errs, configError("Secret", "has %d bytes; at least %d are needed", len(c.Secret), minSecret))
	}
	if c.ChannelManager != nil && c.Online != nil {
		errs = append(errs, configError("Online", "is set beside ChannelManager, which cannot be asked for a server's members; leave one of them out"))
	}
	if c.Timeout < 0 {
		errs = append(errs, configError("Timeout", "is negative; leave it 0 for %v", defaultTimeout))
	}
	return errors.Join(errs...)
}

func (c Config) validateAddresses() error {
	host, err := splitAddress("Listen", c.Listen, 0)
	if err != nil {
		return err
	}
	if err := c.validateAdvertise(host); err != nil {
		return err
	}
	if !loopback(host) && len(c.Secret) == 0 && !c.Insecure {
		return configError("Listen", "%q is not loopback: set Secret (the same bytes on every server), or Insecure to run without encryption", c.Listen)
	}
	for _, seed := range c.Join {
		if err := validateSeed(seed); err != nil {
			return err
		}
	}
	return nil
}

func validateSeed(seed string) error {
	if way, _ := cluster.SeedWay(seed); way != "" {
		if err := cluster.CheckSeed(seed); err != nil {
			return configError("Join", "has %v", err)
		}
		return nil
	}
	host, err := splitAddress("Join", seed, 1)
	if err != nil {
		return err
	}
	if unreachable(host) {
		return configError("Join", "%q is not an address that can be dialled; give host:port with a real host", seed)
	}
	return nil
}

func (c Config) validateAdvertise(listen string) error {
	if c.Advertise == "" {
		if wildcard(listen) {
			return configError("Advertise", "must be set when Listen (%q) is a wildcard: others need one address to dial", c.Listen)
		}
		return nil
	}
	host, err := splitAddress("Advertise", c.Advertise, 1)
	if err != nil {
		return err
	}
	if unreachable(host) {
		return configError("Advertise", "%q is not an address others can dial; give host:port with a real host", c.Advertise)
	}
	// Gossip repeats both in every message. An IP address travels on its own.
	if room := maxAnnounced - min(len(c.SID), maxSID); net.ParseIP(host) == nil && len(c.Advertise) > room {
		return configError("Advertise", "has %d bytes; beside a SID of %d at most %d are allowed: give a shorter name or an IP address", len(c.Advertise), len(c.SID), room)
	}
	return nil
}

// splitAddress returns the host of an address whose port is a number from minPort
// on: the name of a service would mean different ports on different machines.
func splitAddress(field, address string, minPort uint64) (host string, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", configError(field, "%q is not host:port (an IPv6 host in brackets)", address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n < minPort {
		return "", configError(field, "%q has no usable port; a number from %d to 65535 is allowed", address, minPort)
	}
	if len(host) > maxHost {
		return "", configError(field, "has a host of %d bytes; at most %d are allowed", len(host), maxHost)
	}
	if !utf8.ValidString(host) || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("/@", r) }) {
		return "", configError(field, "%q has no usable host; give a name or an IP address", address)
	}
	return host, nil
}

func wildcard(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || (ip != nil && ip.IsUnspecified())
}

// unreachable reports hosts that are nobody's own address.
func unreachable(host string) bool {
	ip := net.ParseIP(host)
	return wildcard(host) || (ip != nil && (ip.IsMulticast() || ip.Equal(net.IPv4bcast)))
}

func (c Config) validateFounding() error {
	maxVoters := c.Cluster.withDefaults().MaxVoters
	switch {
	case c.Expect < 0:
		return configError("Expect", "is negative; give the number of founding servers, or 0 to only join")
	case c.Expect > maxVoters:
		return configError("Expect", "is %d, above Cluster.MaxVoters (%d): founders all vote", c.Expect, maxVoters)
	case c.Cluster.Limits.Servers > 0 && c.Expect > c.Cluster.Limits.Servers:
		return configError("Cluster.Limits.Servers", "is %d, below Expect (%d): the founders would not fit in", c.Cluster.Limits.Servers, c.Expect)
	case c.Expect > 1 && c.alone():
		return configError("Join", "is empty, but Expect is %d: the founders must find each other", c.Expect)
	case c.Expect > 0 && c.NonVoter:
		return configError("NonVoter", "is set on a founding server (Expect %d): founders vote; set Expect to 0 and Join", c.Expect)
	}
	return nil
}

func (s Settings) validate() error {
	switch {
	case s.ReapAfter < 0 || s.ForgetAfter < 0 || s.RemoveAfter < 0:
		return configError("Cluster", "has a negative duration; leave it 0 for the default")
	case s.ReapAfter > 0 && s.ReapAfter < minReapAfter:
		return configError("Cluster.ReapAfter", "is %v; at least %v, or one lost answer would end a healthy server", s.ReapAfter, minReapAfter)
	case s.MaxVoters < 0 || s.MaxVoters > maxMaxVoters:
		return configError("Cluster.MaxVoters", "is %d; 1 to %d are allowed", s.MaxVoters, maxMaxVoters)
	case s.Limits.MessageBytes < 0 || s.Limits.MessageBytes > maxMessage:
		return configError("Cluster.Limits.MessageBytes", "is %d; 1 to %d are allowed", s.Limits.MessageBytes, maxMessage)
	}
	for field, n := range map[string]int{"Members": s.Limits.Members, "Channels": s.Limits.Channels, "Servers": s.Limits.Servers} {
		if n < 0 {
			return configError("Cluster.Limits."+field, "is negative; leave it 0 for no limit")
		}
	}
	d := s.withDefaults()
	if d.ForgetAfter < d.ReapAfter {
		return configError("Cluster.ForgetAfter", "(%v) is below ReapAfter (%v): a server would be forgotten before it is found dead", d.ForgetAfter, d.ReapAfter)
	}
	if d.RemoveAfter < d.ReapAfter {
		return configError("Cluster.RemoveAfter", "(%v) is below ReapAfter (%v): a server would lose its vote before it is found dead", d.RemoveAfter, d.ReapAfter)
	}
	return nil
}

func (s Settings) withDefaults() Settings {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&s.ReapAfter, 10*time.Second)
	def(&s.ForgetAfter, 10*time.Minute)
	def(&s.RemoveAfter, time.Hour)
	if s.MaxVoters == 0 {
		s.MaxVoters = defaultMaxVoters
	}
	if s.Limits.MessageBytes == 0 {
		s.Limits.MessageBytes = defaultMessage
	}
	return s
}

func (s Settings) toProto() *fsmpb.Settings {
	return &fsmpb.Settings{
		ReapAfterNs: int64(s.ReapAfter), ForgetAfterNs: int64(s.ForgetAfter), RemoveAfterNs: int64(s.RemoveAfter),
		MaxVoters: uint32(s.MaxVoters), MaxMessageBytes: uint32(s.Limits.MessageBytes), ExternalSids: s.ExternalSIDs,
		MaxMembers: uint64(s.Limits.Members), MaxChannels: uint64(s.Limits.Channels), MaxServers: uint64(s.Limits.Servers),
	}
}

func settingsFromProto(p *fsmpb.Settings) Settings {
	return Settings{
		ReapAfter: time.Duration(p.GetReapAfterNs()), ForgetAfter: time.Duration(p.GetForgetAfterNs()), RemoveAfter: time.Duration(p.GetRemoveAfterNs()),
		MaxVoters: int(p.GetMaxVoters()), ExternalSIDs: p.GetExternalSids(),
		Limits: Limits{
			MessageBytes: int(p.GetMaxMessageBytes()),
			Members:      atMostInt(p.GetMaxMembers()), Channels: atMostInt(p.GetMaxChannels()), Servers: atMostInt(p.GetMaxServers()),
		},
	}
}

// atMostInt is for numbers that another machine has an int for.
func atMostInt[N int64 | uint64](n N) int { return int(min(n, math.MaxInt)) }

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || (ip != nil && ip.IsLoopback())
}

func configError(field, format string, args ...any) error {
	return fmt.Errorf("%w: Config.%s %s", ErrInvalidArgument, field, fmt.Sprintf(format, args...))
}

func configField(field string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("in Config.%s: %w", field, err)
}
