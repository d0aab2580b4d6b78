package memnet

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"testing"
	"testing/synctest"
	"time"
)

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sheet := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"b"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, sheet, sheet, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestConn_CarriesTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		n.SetLatency(time.Millisecond)
		pair := connect(t, n)
		cert := certificate(t)
		leaf, err := x509.ParseCertificate(cert.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(leaf)
		server := tls.Server(pair.far, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"gc-raft"}})
		client := tls.Client(pair.near, &tls.Config{RootCAs: roots, ServerName: "b", NextProtos: []string{"gc-raft"}})

		const size = 3 * window
		sent := make(chan error, 1)
		go func() {
			_, err := server.Write(make([]byte, size))
			server.Close()
			sent <- err
		}()
		got, err := io.ReadAll(client)
		if err != nil || len(got) != size {
			t.Fatalf("got %d bytes, %v, want %d", len(got), err, size)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if p := client.ConnectionState().NegotiatedProtocol; p != "gc-raft" {
			t.Errorf("ALPN: got %q", p)
		}
		client.Close()
		closed(t, n)
	})
}

// A TLS handshake with a host that is cut off ends at its deadline, not never.
func TestConn_TLSHandshakeWithASilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		pair := connect(t, n)
		n.Cut(a, b)
		pair.near.SetDeadline(time.Now().Add(5 * time.Second))
		start := time.Now()
		err := tls.Client(pair.near, &tls.Config{ServerName: "b"}).Handshake()
		if !isTimeout(err) || time.Since(start) != 5*time.Second {
			t.Errorf("got %v after %v, want a timeout after 5s", err, time.Since(start))
		}
	})
}
