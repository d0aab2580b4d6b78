package fleet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Below what kernels give to outgoing connections: there, the port of a server
// that was killed could be taken before it is started again.
const (
	firstPort = 20000
	lastPort  = 30000
	portTries = 50 // for each one
)

// freeAddresses finds n different loopback addresses that are free for TCP and UDP.
func freeAddresses(n int) ([]string, error) {
	var found []string
	var held []func() error // until all are found, so that none is found twice
	defer func() {
		for _, release := range held {
			_ = release()
		}
	}()
	for range portTries * n {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(lastPort-firstPort)))
		tcp, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		udp, err := net.ListenPacket("udp", addr)
		if err != nil {
			_ = tcp.Close()
			continue
		}
		held = append(held, func() error { return errors.Join(tcp.Close(), udp.Close()) })
		if found = append(found, addr); len(found) == n {
			return found, nil
		}
	}
	return nil, fmt.Errorf("find %d free ports between %d and %d: found %d", n, firstPort, lastPort, len(found))
}
