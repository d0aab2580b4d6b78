// Package ports finds addresses on loopback for servers that are started and ended
// by tests, by the demo and by the bench. It imports nothing of this module.
package ports

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// The range lies below what kernels give to outgoing connections and to listeners
// on port 0 (Linux from 32768, the others from 49152): there, the port of a server
// that is down for a second might be taken before it is started again.
const (
	first = 20000
	last  = 30000
	tries = 50 // for each one
)

// Free finds n different loopback addresses that are free for TCP and UDP.
func Free(n int) ([]string, error) {
	var found []string
	var held []func() error // until all are found, so that none is found twice
	defer func() {
		for _, release := range held {
			_ = release() // nothing was sent through it
		}
	}()
	var failed error
	for range tries * n {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(first+rand.IntN(last-first)))
		tcp, err := net.Listen("tcp", addr)
		if err != nil {
			failed = err
			continue
		}
		udp, err := net.ListenPacket("udp", addr)
		if err != nil {
			_ = tcp.Close()
			failed = err
			continue
		}
		held = append(held, func() error { return errors.Join(tcp.Close(), udp.Close()) })
		if found = append(found, addr); len(found) == n {
			return found, nil
		}
	}
	return nil, fmt.Errorf("find %d free ports between %d and %d on loopback: found %d: %w", n, first, last, len(found), failed)
}
