package memnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestHost_WildcardAndLoopbackAreItsOwnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New().Host(a)
		for i, name := range []string{"127.0.0.1", "localhost", "", "0.0.0.0", "[::]", "[::1]", a, "[::ffff:" + a + "]"} {
			port := 7400 + i
			l, err := h.Listen("tcp", fmt.Sprintf("%s:%d", name, port))
			if err != nil {
				t.Fatalf("listen on %q: %v", name, err)
			}
			if got, want := l.Addr().String(), fmt.Sprintf("%s:%d", a, port); got != want {
				t.Errorf("listen on %q: bound %s, want %s", name, got, want)
			}
			conn, err := h.DialContext(t.Context(), "tcp", fmt.Sprintf("%s:%d", name, port))
			if err != nil {
				t.Fatalf("dial to %q: %v", name, err)
			}
			conn.Close()
			l.Close()
		}
	})
}

func TestHost_RefusesWhatCannotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		h := n.Host(a)
		l, err := h.Listen("tcp", ":7400")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if _, err := h.Listen("tcp", ":7400"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("same port: got %v", err)
		}
		if s, err := h.ListenPacket("udp", ":7400"); err != nil {
			t.Errorf("same port for packets: got %v", err)
		} else {
			s.Close()
		}
		if _, err := h.Listen("tcp", b+":0"); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("another host's address: got %v", err)
		}
		if _, err := h.Listen("unix", "/x"); err == nil {
			t.Error("unix: got nil")
		}
		if _, err := n.Host("no address").Listen("tcp", ":0"); err == nil {
			t.Error("a host without address: got nil")
		}
		for _, address := range []string{a + ":1", b + ":7400", "10.9.9.9:1"} {
			_, err := h.DialContext(t.Context(), "tcp", address)
			var op *net.OpError
			if !errors.Is(err, syscall.ECONNREFUSED) || !errors.As(err, &op) {
				t.Errorf("dial %s: got %v, want refused", address, err)
			}
		}
		var dns *net.DNSError
		if _, err := h.DialContext(t.Context(), "tcp", "nobody:1"); !errors.As(err, &dns) {
			t.Errorf("dial a name: got %v", err)
		}
		for _, address := range []string{"10.0.0.1", a + ":x", a + ":70000"} {
			if _, err := h.DialContext(t.Context(), "tcp", address); err == nil {
				t.Errorf("dial %s: got nil", address)
			}
		}
	})
}

func TestHost_FreePortsDoNotRepeat(t *testing.T) {
	n := New()
	h := n.Host(a)
	last, err := h.Listen("tcp", fmt.Sprintf(":%d", lastFreePort))
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	seen := map[int]bool{lastFreePort: true}
	for range lastFreePort - firstFreePort {
		l, err := h.Listen("tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		if seen[port] {
			t.Fatalf("port %d was given twice", port)
		}
		seen[port] = true
	}
	if _, err := h.Listen("tcp", ":0"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("no port left: got %v", err)
	}
	h.Crash()
	closed(t, n)
}

func TestListener_BacklogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		l, err := n.Host(b).Listen("tcp", ":7400")
		if err != nil {
			t.Fatal(err)
		}
		var ends []net.Conn
		for range backlog {
			ends = append(ends, dial(t, n))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := n.Host(a).DialContext(ctx, "tcp", b+":7400"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("dial to a full backlog: got %v, want it to wait", err)
		}

		dialled := make(chan error, 2)
		for range cap(dialled) {
			go func() {
				c, err := n.Host(a).DialContext(t.Context(), "tcp", b+":7400")
				if err == nil {
					c.Close()
				}
				dialled <- err
			}()
		}
		synctest.Wait()
		first, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if err := <-dialled; err != nil {
			t.Errorf("dial when there was room: %v", err)
		}
		synctest.Wait() // the other waits again
		l.Close()
		if err := <-dialled; !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial that waited when the listener closed: got %v, want refused", err)
		}
		readError(t, ends[1], syscall.ECONNRESET)
		write(t, ends[0], "accepted ones live on")
		read(t, first, "accepted ones live on")
		first.Close()
		for _, end := range ends {
			end.Close()
		}
		closed(t, n)
	})
}

func dial(t *testing.T, n *Net) net.Conn {
	t.Helper()
	conn, err := n.Host(a).DialContext(t.Context(), "tcp", b+":7400")
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestListener_CloseWakesAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := New().Host(a).Listen("tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		accepted := make(chan error, 1)
		go func() { _, err := l.Accept(); accepted <- err }()
		synctest.Wait()
		l.Close()
		if err := <-accepted; !isClosed(err) {
			t.Errorf("accept: got %v, want net.ErrClosed", err)
		}
		if _, err := l.Accept(); !isClosed(err) {
			t.Errorf("accept after close: got %v, want net.ErrClosed", err)
		}
		if err := l.Close(); !isClosed(err) {
			t.Errorf("second close: got %v, want net.ErrClosed", err)
		}
	})
}

// A dial whose context ends on the answer's way back leaves no half of a connection behind.
func TestProcess_DialGivenUpWhileItIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		l, err := n.Host(b).Listen("tcp", ":7400")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		n.SetLatency(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second/2)
		defer cancel()
		if _, err := n.Host(a).DialContext(ctx, "tcp", b+":7400"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("dial: got %v", err)
		}
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		readError(t, far, syscall.ECONNRESET)
		far.Close()
		l.Close()
		closed(t, n)
	})
}
