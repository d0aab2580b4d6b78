package transport

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Roles, as PeerRole tells them and as they stand in the organizational unit of
// a derived certificate.
const (
	RoleNode   = "node"   // a server of the cluster: everything
	RoleClient = "client" // the binary's own commands, other processes: the public service only
)

// derive makes 32 bytes for one purpose from the secret (RFC 5869). Different
// purposes give unrelated keys, so that a leak of one does not open the other.
func derive(secret []byte, purpose string) ([]byte, error) {
	return hkdf.Key(sha256.New, secret, nil, "globalchannel "+purpose+" v1", 32)
}

// authority is the certificate authority that every holder of a secret has. It
// never leaves the process and is never written anywhere.
type authority struct {
	key  ed25519.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

// newAuthority is deterministic: the same secret gives the same key on every
// server. Ed25519 because its keys are any 32 bytes and its signatures need no
// randomness.
func newAuthority(secret []byte) (*authority, error) {
	seed, err := derive(secret, "certificate authority")
	if err != nil {
		return nil, fmt.Errorf("derive the authority: %w", err)
	}
	key := ed25519.NewKeyFromSeed(seed)
	template := certificate(big.NewInt(1), pkix.Name{CommonName: "globalchannel"})
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the authority's certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the authority's certificate: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &authority{key: key, cert: cert, pool: pool}, nil
}

// certificate is valid at any time a clock may show: expiry would protect
// nothing here (whoever has the secret issues the next one) and would turn a
// jump of the wall clock into an outage.
func certificate(serial *big.Int, subject pkix.Name) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: serial, Subject: subject,
		NotBefore: time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:  time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}
}

// issue makes a certificate with a fresh key. A client's is no server
// certificate, so that a client cannot pose as a server either.
func (a *authority) issue(id identity) (tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a serial number: %w", err)
	}
	template := certificate(serial, pkix.Name{CommonName: id.nodeID, OrganizationalUnit: []string{id.role}})
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if id.role == RoleNode {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("issue a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
}

// verify checks the chain and not the host name: servers are known by node id,
// and move.
func (a *authority) verify(cs tls.ConnectionState, usage x509.ExtKeyUsage) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("no certificate shown")
	}
	leaf := cs.PeerCertificates[0]
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: a.pool, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
		return fmt.Errorf("the certificate does not belong to this secret: %w", err)
	}
	_, err := certified(leaf)
	return err
}

// certified reads who a verified certificate stands for.
func certified(leaf *x509.Certificate) (identity, error) {
	units := leaf.Subject.OrganizationalUnit
	if len(units) != 1 || units[0] != RoleNode && units[0] != RoleClient || leaf.Subject.CommonName == "" {
		return identity{}, fmt.Errorf("a certificate with the name %q and the roles %q", leaf.Subject.CommonName, units)
	}
	return identity{nodeID: leaf.Subject.CommonName, role: units[0], proven: true}, nil
}
