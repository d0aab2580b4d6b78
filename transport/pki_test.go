package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pofresh/globalchannel/transport/peerpb"
)

// company is somebody's own PKI, as it might be: ECDSA, host names, an end.
type company struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newCompany(t *testing.T) *company {
	c := &company{t: t}
	c.key, c.cert, _ = c.make(&x509.Certificate{Subject: pkix.Name{CommonName: "company"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return c
}

func (c *company) make(template *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate, []byte) {
	c.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	signer, parent := c.key, c.cert
	if parent == nil {
		signer, parent = key, template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		c.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		c.t.Fatal(err)
	}
	return key, cert, der
}

func (c *company) config(name string) *tls.Config {
	key, _, der := c.make(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	})
	roots := x509.NewCertPool()
	roots.AddCert(c.cert)
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func TestOwnPKI_ServersSpeakAllProtocols(t *testing.T) {
	pki := newCompany(t)
	a, _ := serve(t, Options{NodeID: "a", TLS: pki.config("host-1"), Secret: secretOf("s")})
	b, _ := serve(t, Options{NodeID: "b", TLS: pki.config("host-2"), Secret: secretOf("s")})
	if got, err := ping(t, a, b.Addr()); err != nil || got.NodeId != "a" || got.Sid != RoleNode {
		t.Errorf("Ping: %v, %v; want node a", got, err)
	}
	if _, _, err := pair(t, a, b, "b"); err != nil {
		t.Errorf("raft: %v", err)
	}
	if _, err := a.Raft().Dial(RaftAddress("c", b.Addr()), soon); err == nil {
		t.Error("raft: the wrong node took the stream")
	}
	if c, err := a.Gossip().Dial(within(t), b.Addr()); err != nil {
		t.Errorf("gossip: %v", err)
	} else {
		_ = c.Close()
	}
	if len(a.GossipKey()) != 32 {
		t.Error("no gossip key, though there is a secret")
	}
}

func TestOwnPKI_AsksWhetherTheNodeIsKnown(t *testing.T) {
	pki := newCompany(t)
	var known atomic.Bool
	a, _ := serve(t, Options{NodeID: "a", TLS: pki.config("host-1")})
	b, _ := serve(t, Options{NodeID: "b", TLS: pki.config("host-2"), KnownNode: func(id string) bool { return id == "a" && known.Load() }})
	conn, err := a.Conn(b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	ask := func() error {
		_, err := peerpb.NewPeerClient(conn).ReadIndex(within(t), &peerpb.ReadIndexRequest{})
		return err
	}
	if err := ask(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("ReadIndex of an unknown node: %v, want PermissionDenied", err)
	}
	if _, err := ping(t, a, b.Addr()); err != nil {
		t.Errorf("an unknown node must be able to introduce itself: %v", err)
	}
	if _, err := a.Raft().Dial(RaftAddress("b", b.Addr()), soon); err == nil || !strings.Contains(err.Error(), "does not know this node") {
		t.Errorf("raft stream of an unknown node: %v", err)
	}
	known.Store(true)
	if err := ask(); err != nil {
		t.Errorf("ReadIndex of a known node: %v", err)
	}
	if _, _, err := pair(t, a, b, "b"); err != nil {
		t.Errorf("raft stream of a known node: %v", err)
	}
}

func TestOwnPKI_RefusesWhatItDidNotSign(t *testing.T) {
	pki, other := newCompany(t), newCompany(t)
	b, _ := serve(t, Options{NodeID: "b", TLS: pki.config("host")})
	stranger := other.config("host")
	stranger.NextProtos = []string{"h2"}
	if err := shakes(t, b.Addr(), stranger); err == nil || !strings.Contains(err.Error(), "unknown certificate authority") {
		t.Errorf("a certificate of another company: %v", err)
	}
	if err := shakes(t, b.Addr(), &tls.Config{NextProtos: []string{"h2"}}); err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("no certificate: %v", err)
	}
	// The dialling end checks as well, host name included.
	a := open(t, Options{NodeID: "a", TLS: other.config("host")})
	if _, err := a.Raft().Dial(RaftAddress("b", b.Addr()), soon); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a server of another company: %v", err)
	}
	named := pki.config("host")
	named.ServerName = "servers.example"
	c := open(t, Options{NodeID: "c", TLS: named})
	if _, err := c.Raft().Dial(RaftAddress("b", b.Addr()), soon); err == nil || !strings.Contains(err.Error(), "servers.example") {
		t.Errorf("a server of another name: %v", err)
	}
}

func TestOwnPKI_ConfigChosenPerClientKeepsTheRules(t *testing.T) {
	pki := newCompany(t)
	chosen := pki.config("host")
	config := pki.config("host")
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return chosen, nil }
	b, _ := serve(t, Options{NodeID: "b", TLS: config})
	if err := shakes(t, b.Addr(), &tls.Config{NextProtos: []string{"h2"}}); err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("no certificate: %v", err)
	}
	a := open(t, Options{NodeID: "a", TLS: pki.config("host")})
	if _, err := ping(t, a, b.Addr()); err != nil {
		t.Error(err)
	}
	if chosen.ClientAuth != tls.NoClientCert || chosen.NextProtos != nil {
		t.Error("the user's configuration was written to")
	}
}
