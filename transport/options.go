package transport

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

const (
	defaultMaxConns         = 4096
	defaultHandshakeTimeout = 5 * time.Second
	minSecret               = 16
	maxNodeID               = 128
)

// Options are read by Open, which keeps a copy and never writes to them.
type Options struct {
	Network           Network // nil: the real one
	Listen, Advertise string  // Listen host:port, "" is 127.0.0.1:0; port 0: any free one, the same for TCP and UDP. Advertise "": the bound address
	NodeID            string  // of this node; other nodes dial it by that name

	// Secret, at least 16 bytes, the same on every server: mutual TLS 1.3 with
	// certificates that are derived from it, and the gossip key. nil: plain.
	Secret []byte
	// TLS is the user's own PKI and replaces the derived certificates. Client
	// certificates are always required. Host names are checked against what is
	// dialled, or against TLS.ServerName if set.
	TLS *tls.Config
	// KnownNode, asked only with TLS, says whether that node id is a server of
	// ours. It decides about Raft streams and about calls of the peer service,
	// except Promise, Join and Ping: a stranger becomes known through these.
	// Called concurrently; must not block. nil: every stated id is believed.
	KnownNode func(nodeID string) bool

	MaxConns         int           // accepted connections at a time; 0: 4096
	HandshakeTimeout time.Duration // until a connection must have said all that its protocol begins with; 0: 5 s
	Logger           *slog.Logger  // nil: silent
}

// OptionError is a field of Options that cannot work. Its text names the field
// and says what would be right.
type OptionError struct {
	Field string // of Options
	Value string // as given; "" where it must not be printed
	Want  string
}

func (e *OptionError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("%s: %s", e.Field, e.Want)
	}
	return fmt.Sprintf("%s %q: %s", e.Field, e.Value, e.Want)
}

// validated returns o with its defaults filled in, or an *OptionError.
func (o Options) validated() (Options, error) {
	if o.Network == nil {
		o.Network = realNetwork{}
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.MaxConns == 0 {
		o.MaxConns = defaultMaxConns
	}
	if o.HandshakeTimeout == 0 {
		o.HandshakeTimeout = defaultHandshakeTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.MaxConns < 0:
		return o, &OptionError{"MaxConns", strconv.Itoa(o.MaxConns), "give a positive number, or 0 for the default"}
	case o.HandshakeTimeout < 0:
		return o, &OptionError{"HandshakeTimeout", o.HandshakeTimeout.String(), "give a positive duration, or 0 for the default"}
	}
	for _, check := range []func() error{
		func() error { return checkNodeID(o.NodeID) },
		func() error { return checkSecret(o.Secret) },
		func() error { return checkListen(o.Listen, o.Advertise) },
		func() error { return checkAdvertise(o.Advertise) },
	} {
		if err := check(); err != nil {
			return o, err
		}
	}
	return o, nil
}

// checkNodeID refuses what would not survive as a part of a Raft address or as
// a gRPC header.
func checkNodeID(id string) error {
	bad := strings.IndexFunc(id, func(r rune) bool { return r <= ' ' || r > '~' || r == '@' }) >= 0
	if id == "" || len(id) > maxNodeID || bad {
		return &OptionError{"NodeID", id, fmt.Sprintf("want 1 to %d visible ASCII characters without @, such as a UUID", maxNodeID)}
	}
	return nil
}

// checkSecret never prints the secret.
func checkSecret(secret []byte) error {
	if len(secret) > 0 && len(secret) < minSecret {
		return &OptionError{"Secret", "", fmt.Sprintf("has %d bytes, want at least %d, the same on every server", len(secret), minSecret)}
	}
	return nil
}

func checkListen(listen, advertise string) error {
	host, _, err := splitHostPort(listen)
	if err != nil {
		return &OptionError{"Listen", listen, err.Error()}
	}
	if wildcard(host) && advertise == "" {
		return &OptionError{"Listen", listen, "a wildcard cannot be dialled: set Advertise to the host:port at which other servers reach this one"}
	}
	return nil
}

func checkAdvertise(advertise string) error {
	if advertise == "" {
		return nil
	}
	host, port, err := splitHostPort(advertise)
	switch {
	case err != nil:
		return &OptionError{"Advertise", advertise, err.Error()}
	case port == 0:
		return &OptionError{"Advertise", advertise, "port 0 cannot be dialled: give the port at which other servers reach this one"}
	case wildcard(host):
		return &OptionError{"Advertise", advertise, "a wildcard cannot be dialled: give the host:port at which other servers reach this one, such as 10.0.0.5:7400"}
	case multicast(host):
		return &OptionError{"Advertise", advertise, "a multicast or broadcast address cannot be dialled: give the host:port at which other servers reach this one, such as 10.0.0.5:7400"}
	}
	return nil
}

// splitHostPort wants a number as port: a service name would mean different
// ports on different machines. The error says what would be right.
func splitHostPort(address string) (host string, port uint16, err error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("want HOST:PORT, an IPv6 host in brackets")
	}
	number, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port %q: want a number from 0 to 65535", service)
	}
	if strings.ContainsAny(host, " \t\r\n@/") {
		return "", 0, fmt.Errorf("host %q: want a name or an IP address", host)
	}
	return host, uint16(number), nil
}

func wildcard(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.Unmap().IsUnspecified()
}

func multicast(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.Unmap().IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}))
}
