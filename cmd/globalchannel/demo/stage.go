package demo

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// stage is what the servers share: a folder, a secret in it, and addresses that
// stay theirs over a restart.
type stage struct {
	dir        string
	secretFile string
	secret     []byte
	addrs      []string
}

func newStage(servers int) (_ *stage, err error) {
	dir, err := os.MkdirTemp("", "gc-demo-") // 0700
	if err != nil {
		return nil, fmt.Errorf("make folder of the demo: %w", err)
	}
	s := &stage{dir: dir, secretFile: filepath.Join(dir, "secret")}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.remove())
		}
	}()
	raw := make([]byte, 16)
	if _, err := rand.Read(raw); err != nil {
		return nil, fmt.Errorf("make secret: %w", err)
	}
	s.secret = []byte(hex.EncodeToString(raw))
	if err := os.WriteFile(s.secretFile, s.secret, 0o600); err != nil {
		return nil, fmt.Errorf("write secret: %w", err)
	}
	s.addrs, err = freeAddrs(servers)
	return s, err
}

func (s *stage) dataDir(sid string) string { return filepath.Join(s.dir, sid) }
func (s *stage) logFile(sid string) string { return filepath.Join(s.dir, sid+".log") }
func (s *stage) remove() error             { return os.RemoveAll(s.dir) }

// Ports are taken from below the ranges from which Linux (32768) and the others
// (49152) serve outgoing connections: a server that is down for a second must find
// its port free again, and here hundreds of dials would compete for it.
const (
	lowestPort  = 20000
	highestPort = 32767
)

// freeAddrs finds n loopback addresses whose port is free for TCP and UDP. All are
// held until all are found, so they differ.
func freeAddrs(n int) ([]string, error) {
	var held []interface{ Close() error }
	defer func() {
		for _, h := range held {
			_ = h.Close() // nothing was sent through it
		}
	}()
	var addrs []string
	var last error
	for tries := 0; len(addrs) < n; tries++ {
		if tries > 200+20*n {
			return nil, fmt.Errorf("find %d free ports between %d and %d on loopback: %w", n, lowestPort, highestPort, last)
		}
		offset, err := rand.Int(rand.Reader, big.NewInt(highestPort-lowestPort+1))
		if err != nil {
			return nil, fmt.Errorf("choose a port: %w", err)
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.FormatInt(lowestPort+offset.Int64(), 10))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			last = err
			continue
		}
		held = append(held, l)
		p, err := net.ListenPacket("udp", addr)
		if err != nil {
			last = err
			continue
		}
		held = append(held, p)
		addrs = append(addrs, addr)
	}
	return addrs, nil
}
