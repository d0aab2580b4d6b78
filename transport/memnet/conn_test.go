package memnet

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"
)

// The conformance suite for a net.Conn, in real time because it starts subtests.
func TestConn_IsANetConn(t *testing.T) {
	for name, latency := range map[string]time.Duration{"at once": 0, "latency": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				n := New()
				n.SetLatency(latency)
				pair := connect(t, n)
				return pair.near, pair.far, func() { pair.near.Close(); pair.far.Close(); closed(t, n) }, nil
			})
		})
	}
}

func TestConn_AddressesAreTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pair := connect(t, New())
		for _, end := range []net.Conn{pair.near, pair.far} {
			for _, addr := range []net.Addr{end.LocalAddr(), end.RemoteAddr()} {
				if _, ok := addr.(*net.TCPAddr); !ok {
					t.Errorf("got a %T, want a *net.TCPAddr", addr)
				}
			}
		}
		if got, want := pair.far.RemoteAddr().String(), pair.near.LocalAddr().String(); got != want {
			t.Errorf("the far end sees %s, the near end is %s", got, want)
		}
		if ip := pair.near.LocalAddr().(*net.TCPAddr).IP.String(); ip != a {
			t.Errorf("dialled from %s, want %s", ip, a)
		}
	})
}

func TestConn_CloseLetsThePeerReadTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, latency := range []time.Duration{0, time.Second} {
			n := New()
			n.SetLatency(latency)
			pair := connect(t, n)
			write(t, pair.near, "last words")
			pair.near.Close()
			read(t, pair.far, "last words")
			readError(t, pair.far, io.EOF)
			readError(t, pair.near, net.ErrClosed)
			writeError(t, pair.near, net.ErrClosed)
			if err := pair.near.Close(); err == nil {
				t.Error("second Close: got nil")
			}
			pair.far.Close()
			closed(t, n)
		}
	})
}

func TestConn_CloseWakesReaderAndWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pair := connect(t, New())
		var wg sync.WaitGroup
		wg.Go(func() { readError(t, pair.near, net.ErrClosed) })
		for range 2 { // one at work, one waiting for its turn
			wg.Go(func() {
				if _, err := pair.near.Write(make([]byte, window+1)); !isClosed(err) {
					t.Errorf("write: got %v, want net.ErrClosed", err)
				}
			})
		}
		synctest.Wait()
		pair.near.Close()
		wg.Wait()
	})
}

func TestConn_HalfClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pair := connect(t, New())
		write(t, pair.near, "question")
		if err := pair.near.(*conn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		writeError(t, pair.near, syscall.EPIPE)
		got, err := io.ReadAll(pair.far)
		if err != nil || string(got) != "question" {
			t.Fatalf("got %q, %v", got, err)
		}
		write(t, pair.far, "answer")
		pair.far.Close()
		read(t, pair.near, "answer")
		readError(t, pair.near, io.EOF)
	})
}

// A peer that has closed cannot say so in time: the first write is lost without an error.
func TestConn_WriteToAClosedPeerIsLostThenFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pair := connect(t, New())
		pair.far.Close()
		write(t, pair.near, "lost")
		writeError(t, pair.near, syscall.EPIPE)
		readError(t, pair.near, io.EOF)
	})
}

func TestConn_CloseWithUnreadBytesResetsThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pair := connect(t, New())
		write(t, pair.near, "never read")
		write(t, pair.far, "before")
		pair.far.Close()
		read(t, pair.near, "before")
		readError(t, pair.near, syscall.ECONNRESET)
		writeError(t, pair.near, syscall.ECONNRESET)
	})
}

func TestConn_WindowIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pair := connect(t, New())
		pair.near.SetWriteDeadline(time.Now().Add(time.Minute))
		n, err := pair.near.Write(make([]byte, 2*window))
		if n != window || !isTimeout(err) {
			t.Fatalf("got %d, %v, want %d and a timeout", n, err, window)
		}
		writeError(t, pair.near, os.ErrDeadlineExceeded)
		pair.near.SetWriteDeadline(time.Time{})
		read(t, pair.far, strings.Repeat("\x00", window/2))
		if n, err := pair.near.Write(make([]byte, window/2)); n != window/2 || err != nil {
			t.Fatalf("after a read: got %d, %v", n, err)
		}
	})
}

func TestConn_ConcurrentWritesDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pair := connect(t, New())
		const size, writers = 3 * window / 2, 4
		for i := range writers {
			go pair.near.Write(bytes.Repeat([]byte{byte(i)}, size))
		}
		for range writers {
			got := make([]byte, size)
			if _, err := io.ReadFull(pair.far, got); err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(got, got[:1]); n != size {
				t.Fatalf("%d bytes of a write of %d stand together", n, size)
			}
		}
	})
}

func TestConn_DeadlineThatIsMovedWhileAReaderWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pair := connect(t, New())
		start := time.Now()
		pair.near.SetReadDeadline(start.Add(time.Second))
		time.AfterFunc(time.Second/2, func() { pair.near.SetReadDeadline(start.Add(time.Hour)) })
		readError(t, pair.near, os.ErrDeadlineExceeded)
		if waited := time.Since(start); waited != time.Hour {
			t.Errorf("waited %v, want an hour", waited)
		}
		write(t, pair.far, "x")
		readError(t, pair.near, os.ErrDeadlineExceeded) // even with bytes to read
		pair.near.SetReadDeadline(time.Time{})
		read(t, pair.near, "x")
	})
}

func TestConn_LatencyIsOneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		n.SetLatency(10 * time.Millisecond)
		start := time.Now()
		pair := connect(t, n)
		if d := time.Since(start); d != 20*time.Millisecond {
			t.Errorf("dial took %v, want a round trip of 20ms", d)
		}
		start = time.Now()
		write(t, pair.near, "slow ")
		if d := time.Since(start); d != 0 {
			t.Errorf("write took %v, want no wait", d)
		}
		n.SetLatency(0)
		write(t, pair.near, "does not overtake")
		read(t, pair.far, "slow does not overtake")
		if d := time.Since(start); d != 10*time.Millisecond {
			t.Errorf("arrived after %v, want 10ms", d)
		}
		l, err := n.Host(a).Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		n.SetLatency(time.Hour)
		start = time.Now()
		self, err := n.Host(a).DialContext(context.Background(), "tcp", l.Addr().String())
		if err != nil || time.Since(start) != 0 {
			t.Fatalf("dial to itself: %v after %v", err, time.Since(start))
		}
		self.Close()
	})
}
