package transport

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"testing"
	"time"
)

func newTestAuthority(t *testing.T, secret []byte) *authority {
	t.Helper()
	a, err := newAuthority(secret)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issued(t *testing.T, a *authority, id identity) *x509.Certificate {
	t.Helper()
	cert, err := a.issue(id)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

func TestAuthority_IsTheSameForTheSameSecret(t *testing.T) {
	a, b, other := newTestAuthority(t, secretOf("s")), newTestAuthority(t, secretOf("s")), newTestAuthority(t, secretOf("o"))
	if !bytes.Equal(a.cert.Raw, b.cert.Raw) {
		t.Error("two certificates from one secret")
	}
	if bytes.Equal(a.cert.PublicKey.(ed25519.PublicKey), other.cert.PublicKey.(ed25519.PublicKey)) {
		t.Error("one key from two secrets")
	}
}

func TestAuthority_ClockDoesNotMatter(t *testing.T) {
	a := newTestAuthority(t, secretOf("s"))
	leaf := issued(t, newTestAuthority(t, secretOf("s")), identity{nodeID: "n1", role: RoleNode})
	for _, year := range []int{1902, 1970, 2000, 2026, 2100, 9998} {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: a.pool, CurrentTime: time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC)})
		if err != nil {
			t.Errorf("in %d: %v", year, err)
		}
	}
}

func TestAuthority_RoleIsInTheCertificate(t *testing.T) {
	a := newTestAuthority(t, secretOf("s"))
	for _, role := range []string{RoleNode, RoleClient} {
		leaf := issued(t, a, identity{nodeID: "n1", role: role})
		got, err := certified(leaf)
		if want := (identity{nodeID: "n1", role: role, proven: true}); err != nil || got != want {
			t.Errorf("certified = %v, %v, want %v", got, err, want)
		}
		_, err = leaf.Verify(x509.VerifyOptions{Roots: a.pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		if serves := err == nil; serves != (role == RoleNode) {
			t.Errorf("a %s as TLS server: %v", role, err)
		}
	}
	for _, id := range []identity{{nodeID: "n1", role: "admin"}, {nodeID: "", role: RoleNode}} {
		if got, err := certified(issued(t, a, id)); err == nil {
			t.Errorf("%v became %v", id, got)
		}
	}
}

func TestPort_GossipKeyFollowsFromTheSecret(t *testing.T) {
	a := open(t, Options{NodeID: "a", Secret: secretOf("s")}).GossipKey()
	b := open(t, Options{NodeID: "b", Secret: secretOf("s")}).GossipKey()
	c := open(t, Options{NodeID: "c", Secret: secretOf("o")}).GossipKey()
	if len(a) != 32 || !bytes.Equal(a, b) || bytes.Equal(a, c) {
		t.Errorf("keys %x, %x (same secret), %x (another)", a, b, c)
	}
	if key := open(t, Options{NodeID: "d"}).GossipKey(); key != nil {
		t.Errorf("key %x without a secret", key)
	}
}
