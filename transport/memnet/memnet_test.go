package memnet

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The machines of the tests.
const (
	a = "10.0.0.1"
	b = "10.0.0.2"
	c = "10.0.0.3"
)

// connection is a stream from host a to host b with both of its ends.
type connection struct{ near, far net.Conn }

func connect(t testing.TB, n *Net) connection {
	t.Helper()
	l, err := n.Host(b).Listen("tcp", ":0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	defer l.Close()
	near, err := n.Host(a).DialContext(context.Background(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatalf("accept: %v", err)
	}
	t.Cleanup(func() {
		near.Close()
		far.Close()
	})
	return connection{near: near, far: far}
}

func write(t testing.TB, w net.Conn, text string) {
	t.Helper()
	if n, err := io.WriteString(w, text); err != nil || n != len(text) {
		t.Fatalf("write %q: got %d, %v", text, n, err)
	}
}

// read expects exactly these bytes next.
func read(t testing.TB, r net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Fatalf("read: got %q, %v, want %q", got, err, want)
	}
}

func readError(t testing.TB, r net.Conn, want error) {
	t.Helper()
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, want) {
		t.Fatalf("read: got %d bytes, %v, want %v", n, err, want)
	}
}

func writeError(t testing.TB, w net.Conn, want error) {
	t.Helper()
	if _, err := w.Write([]byte("x")); !errors.Is(err, want) {
		t.Fatalf("write: got %v, want %v", err, want)
	}
}

// quiet expects that nothing can be read for an hour.
func quiet(t testing.TB, r net.Conn) {
	t.Helper()
	r.SetReadDeadline(time.Now().Add(time.Hour))
	if n, err := r.Read(make([]byte, 1)); n != 0 || !isTimeout(err) {
		t.Fatalf("read: got %d bytes, %v, want a timeout", n, err)
	}
	r.SetReadDeadline(time.Time{})
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// closed expects that the network holds nothing any more.
func closed(t testing.TB, n *Net) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	for addr, h := range n.hosts {
		if len(h.listeners)+len(h.packets) > 0 {
			t.Errorf("host %v: %d listeners and %d packet sockets left", addr, len(h.listeners), len(h.packets))
		}
		for p := range h.processes {
			if len(p.sockets) > 0 {
				t.Errorf("host %v: %d sockets left", addr, len(p.sockets))
			}
		}
	}
	if len(n.pairs) > 0 {
		t.Errorf("%d connections left", len(n.pairs))
	}
}
