package ports

import (
	"net"
	"testing"
)

func TestFree_AreDifferentAndFree(t *testing.T) {
	const n = 50
	addrs, err := Free(n)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, addr := range addrs {
		seen[addr] = true
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Errorf("%v, though it was said to be free", err)
			continue
		}
		if port := l.Addr().(*net.TCPAddr).Port; port < first || port >= last {
			t.Errorf("port %d is where kernels take theirs from", port)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(seen) != n {
		t.Errorf("got %d different addresses, want %d", len(seen), n)
	}
}
