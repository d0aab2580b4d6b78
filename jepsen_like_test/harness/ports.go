package harness

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// The range lies below what kernels give to outgoing connections: there, the port
// of a server that was killed might be taken before it is started again.
const (
	firstPort = 20000
	lastPort  = 30000
)

// freeAddresses finds n loopback addresses that are free for TCP and UDP.
func freeAddresses(n int) ([]string, error) {
	var found []string
	taken := make(map[int]bool)
	for range 50 * n {
		port := firstPort + rand.IntN(lastPort-firstPort)
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if taken[port] || !free(addr) {
			continue
		}
		taken[port] = true
		if found = append(found, addr); len(found) == n {
			return found, nil
		}
	}
	return nil, fmt.Errorf("find %d free ports between %d and %d: found %d", n, firstPort, lastPort, len(found))
}

func free(addr string) bool {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	p, err := net.ListenPacket("udp", addr)
	if err != nil {
		l.Close()
		return false
	}
	return errors.Join(l.Close(), p.Close()) == nil
}
