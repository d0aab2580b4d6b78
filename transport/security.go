package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
)

// protocol tells the three users of the port apart: by the first byte, or under
// TLS by ALPN.
type protocol byte

const (
	protocolNone   protocol = 0 // not told yet
	protocolRaft   protocol = 0x01
	protocolGossip protocol = 0x02
	protocolHTTP2  protocol = 'P' // of "PRI * HTTP/2.0", which the client sends first (RFC 9113, section 3.4)
)

func (p protocol) alpn() string {
	switch p {
	case protocolRaft:
		return "gc-raft"
	case protocolGossip:
		return "gc-gossip"
	case protocolHTTP2:
		return "h2"
	}
	return ""
}

func protocols() []protocol { return []protocol{protocolRaft, protocolGossip, protocolHTTP2} }

// identity is who is at the other end of a connection.
type identity struct {
	nodeID, role string
	proven       bool // by the certificate; else the peer has yet to state it
}

// security is how the connections of one process are protected.
type security struct {
	server    *tls.Config                   // nil: plain
	client    func(host string) *tls.Config // a new one per connection
	certified bool                          // certificates carry node id and role
}

// newSecurity chooses: an own PKI, derived certificates, or none.
func newSecurity(own *tls.Config, secret []byte, self identity) (*security, error) {
	switch {
	case own != nil:
		return ownPKI(own)
	case len(secret) > 0:
		return derivedPKI(secret, self)
	}
	return &security{}, nil
}

func derivedPKI(secret []byte, self identity) (*security, error) {
	authority, err := newAuthority(secret)
	if err != nil {
		return nil, err
	}
	cert, err := authority.issue(self)
	if err != nil {
		return nil, err
	}
	base := func(peer x509.ExtKeyUsage) *tls.Config {
		return &tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert},
			// Nothing here resumes a session, so a ticket would be bytes for nothing.
			SessionTicketsDisabled: true,
			VerifyConnection:       func(cs tls.ConnectionState) error { return authority.verify(cs, peer) },
		}
	}
	server := base(x509.ExtKeyUsageClientAuth)
	server.ClientAuth = tls.RequireAnyClientCert // and VerifyConnection verifies it, as at the other end
	server.NextProtos = allALPN()
	client := base(x509.ExtKeyUsageServerAuth)
	client.InsecureSkipVerify = true // of the host name; VerifyConnection verifies the chain
	return &security{server: server, certified: true, client: func(string) *tls.Config { return client.Clone() }}, nil
}

// ownPKI keeps what the user configured and adds what the port needs: its
// protocols, TLS 1.3, and a client certificate from everybody.
func ownPKI(own *tls.Config) (*security, error) {
	wrong := func(want string) error { return &OptionError{"TLS", "", want} }
	serves := len(own.Certificates) > 0 || own.GetCertificate != nil || own.GetConfigForClient != nil
	dials := len(own.Certificates) > 0 || own.GetClientCertificate != nil
	switch {
	case !serves || !dials:
		return nil, wrong("want a certificate for both ends: Certificates, or GetCertificate and GetClientCertificate")
	case own.RootCAs == nil && own.ClientCAs == nil:
		return nil, wrong("want RootCAs (and ClientCAs, if they differ): with the system's roots anybody with a public certificate would be let in")
	case own.MaxVersion != 0 && own.MaxVersion < tls.VersionTLS13:
		return nil, wrong("want MaxVersion 0 or TLS 1.3")
	}
	client := own.Clone()
	client.MinVersion = tls.VersionTLS13
	if client.RootCAs == nil {
		client.RootCAs = own.ClientCAs
	}
	return &security{server: ownServer(own), client: func(host string) *tls.Config {
		c := client.Clone()
		if c.ServerName == "" {
			c.ServerName = host
		}
		return c
	}}, nil
}

func ownServer(own *tls.Config) *tls.Config {
	c := own.Clone()
	c.MinVersion = tls.VersionTLS13
	c.NextProtos = allALPN()
	c.ClientAuth = tls.RequireAndVerifyClientCert
	if c.ClientCAs == nil {
		c.ClientCAs = own.RootCAs
	}
	if choose := own.GetConfigForClient; choose != nil {
		// What the user's function returns replaces c whole and would drop the lines above.
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			chosen, err := choose(hello)
			if err != nil || chosen == nil {
				return nil, err
			}
			chosen = chosen.Clone()
			chosen.GetConfigForClient = nil
			if chosen.ClientCAs == nil {
				chosen.ClientCAs = c.ClientCAs
			}
			return ownServer(chosen), nil
		}
	}
	return c
}

func allALPN() []string {
	var names []string
	for _, p := range protocols() {
		names = append(names, p.alpn())
	}
	return names
}

// accept does the server's part on a fresh connection, within its deadline, and
// tells what is spoken on it and by whom.
func (s *security) accept(ctx context.Context, raw net.Conn) (net.Conn, protocol, identity, error) {
	if s.server == nil {
		return acceptPlain(raw)
	}
	conn := tls.Server(raw, s.server)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, 0, identity{}, fmt.Errorf("tls handshake: %w", err)
	}
	id, err := s.identify(conn)
	if err != nil {
		return nil, 0, identity{}, err
	}
	name := conn.ConnectionState().NegotiatedProtocol
	for _, p := range protocols() {
		if p.alpn() == name {
			return conn, p, id, nil
		}
	}
	return nil, 0, identity{}, fmt.Errorf("no known protocol (ALPN %q)", name)
}

func acceptPlain(raw net.Conn) (net.Conn, protocol, identity, error) {
	var first [1]byte
	if _, err := io.ReadFull(raw, first[:]); err != nil {
		return nil, 0, identity{}, fmt.Errorf("read the first byte: %w", err)
	}
	switch p := protocol(first[0]); p {
	case protocolRaft, protocolGossip:
		return raw, p, identity{}, nil
	case protocolHTTP2:
		return &unread{Conn: raw, head: first[:]}, p, identity{}, nil
	}
	return nil, 0, identity{}, fmt.Errorf("first byte %#x belongs to no protocol of this port (TLS, where no secret is set?)", first[0])
}

// secure does the client's part, within the connection's deadline.
func (s *security) secure(ctx context.Context, raw net.Conn, addr string, p protocol) (net.Conn, identity, error) {
	if s.server == nil {
		if p != protocolHTTP2 { // gRPC sends its own first byte
			if _, err := raw.Write([]byte{byte(p)}); err != nil {
				return nil, identity{}, fmt.Errorf("write the first byte: %w", err)
			}
		}
		return raw, identity{}, nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, identity{}, err
	}
	config := s.client(host)
	config.NextProtos = []string{p.alpn()}
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, identity{}, fmt.Errorf("tls handshake: %w", err)
	}
	if got := conn.ConnectionState().NegotiatedProtocol; got != p.alpn() {
		return nil, identity{}, fmt.Errorf("the other end does not speak %s on this port", p.alpn())
	}
	id, err := s.identify(conn)
	return conn, id, err
}

func (s *security) identify(conn *tls.Conn) (identity, error) {
	if !s.certified {
		return identity{}, nil
	}
	return certified(conn.ConnectionState().PeerCertificates[0])
}

// unread gives back the bytes that were read to look at them.
type unread struct {
	net.Conn
	head []byte // read by one goroutine at a time, as the connection
}

func (u *unread) Read(b []byte) (int, error) {
	if len(u.head) > 0 {
		n := copy(b, u.head)
		u.head = u.head[n:]
		return n, nil
	}
	return u.Conn.Read(b)
}
