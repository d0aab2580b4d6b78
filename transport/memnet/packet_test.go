package memnet

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func listenPacket(t *testing.T, n *Net, ip string) net.PacketConn {
	t.Helper()
	s, err := n.Host(ip).ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func sendPacket(t *testing.T, from, to net.PacketConn, text string) {
	t.Helper()
	if n, err := from.WriteTo([]byte(text), to.LocalAddr()); err != nil || n != len(text) {
		t.Fatalf("send: got %d, %v", n, err)
	}
}

func receive(t *testing.T, s net.PacketConn, want string) net.Addr {
	t.Helper()
	buf := make([]byte, maxPacket)
	n, from, err := s.ReadFrom(buf)
	if err != nil || string(buf[:n]) != want {
		t.Fatalf("receive: got %q, %v, want %q", buf[:n], err, want)
	}
	return from
}

// nothing expects no packet for an hour.
func nothing(t *testing.T, s net.PacketConn) {
	t.Helper()
	s.SetReadDeadline(time.Now().Add(time.Hour))
	if n, _, err := s.ReadFrom(make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) || !isTimeout(err) {
		t.Fatalf("receive: got %d bytes, %v, want a timeout", n, err)
	}
	s.SetReadDeadline(time.Time{})
}

func TestPacketConn_KnowsTheSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		one, two := listenPacket(t, n, a), listenPacket(t, n, b)
		buf := []byte("hello")
		if n, err := one.WriteTo(buf, two.LocalAddr()); n != len(buf) || err != nil {
			t.Fatalf("send: got %d, %v", n, err)
		}
		copy(buf, "reuse") // the sender keeps its buffer
		sendPacket(t, one, two, "")
		from := receive(t, two, "hello")
		receive(t, two, "")
		if addr, ok := from.(*net.UDPAddr); !ok || addr.String() != one.LocalAddr().String() {
			t.Errorf("got a packet from %T %v, want %v", from, from, one.LocalAddr())
		}
		if _, err := two.WriteTo([]byte("back"), from); err != nil {
			t.Fatal(err)
		}
		receive(t, one, "back")
	})
}

func TestPacketConn_TakesEveryFormOfAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		one, two := listenPacket(t, n, a), listenPacket(t, n, b)
		port := two.LocalAddr().(*net.UDPAddr).Port
		for _, to := range []net.Addr{
			&net.UDPAddr{IP: net.ParseIP(b).To4(), Port: port},
			&net.UDPAddr{IP: net.ParseIP(b).To16(), Port: port},
			&net.TCPAddr{IP: net.ParseIP(b), Port: port}, // any that prints as one
		} {
			if _, err := one.WriteTo([]byte("x"), to); err != nil {
				t.Errorf("to %#v: %v", to, err)
			}
			receive(t, two, "x")
		}
		self := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: one.LocalAddr().(*net.UDPAddr).Port}
		if _, err := one.WriteTo([]byte("me"), self); err != nil {
			t.Fatal(err)
		}
		receive(t, one, "me")
		if _, err := one.WriteTo(nil, nil); err == nil {
			t.Error("no address: got nil")
		}
		if _, err := one.WriteTo(nil, (*net.UDPAddr)(nil)); err == nil {
			t.Error("nil address: got nil")
		}
	})
}

func TestPacketConn_LosesSilently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		one, two := listenPacket(t, n, a), listenPacket(t, n, b)
		if _, err := one.WriteTo([]byte("x"), &net.UDPAddr{IP: net.ParseIP(b), Port: 9}); err != nil {
			t.Errorf("no such socket: %v", err)
		}
		if _, err := one.WriteTo([]byte("x"), &net.UDPAddr{IP: net.ParseIP("10.9.9.9"), Port: 9}); err != nil {
			t.Errorf("no such host: %v", err)
		}
		if _, err := one.WriteTo(make([]byte, maxPacket+1), two.LocalAddr()); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("too long: got %v", err)
		}
		for range 5 * packetBuffer / packetOverhead {
			sendPacket(t, one, two, "")
		}
		for range packetBuffer / packetOverhead {
			receive(t, two, "")
		}
		nothing(t, two)
		sendPacket(t, one, two, "room again")
		if n, _, err := two.ReadFrom(make([]byte, 4)); n != 4 || err != nil {
			t.Errorf("short buffer: got %d, %v, want 4 bytes and the rest lost", n, err)
		}
		nothing(t, two)
	})
}

func TestPacketConn_CutLosesWhatIsSentAndInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		one, two, three := listenPacket(t, n, a), listenPacket(t, n, b), listenPacket(t, n, c)
		n.SetLatency(time.Second)
		sendPacket(t, one, two, "in flight when cut")
		sendPacket(t, three, two, "of another host")
		n.Cut(a, b)
		sendPacket(t, one, two, "sent while cut")
		receive(t, two, "of another host")
		sendPacket(t, two, one, "the other way")
		receive(t, one, "the other way")
		n.Heal(a, b)
		nothing(t, two)
		start := time.Now()
		sendPacket(t, one, two, "healed")
		receive(t, two, "healed")
		if d := time.Since(start); d != time.Second {
			t.Errorf("took %v, want the latency", d)
		}
	})
}

// One socket hears itself at once, although a packet from afar was sent to it before.
func TestPacketConn_LatencyIsThatOfTheSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		one, two := listenPacket(t, n, a), listenPacket(t, n, b)
		n.SetLatency(time.Second)
		sendPacket(t, one, two, "far")
		sendPacket(t, two, two, "near")
		receive(t, two, "near")
		receive(t, two, "far")
	})
}

func TestPacketConn_CloseWakesReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		s := listenPacket(t, n, a)
		reading := make(chan error, 1)
		go func() { _, _, err := s.ReadFrom(nil); reading <- err }()
		synctest.Wait()
		s.Close()
		if err := <-reading; !isClosed(err) {
			t.Errorf("read: got %v, want net.ErrClosed", err)
		}
		if _, err := s.WriteTo(nil, s.LocalAddr()); !isClosed(err) {
			t.Errorf("write: got %v, want net.ErrClosed", err)
		}
		if err := s.Close(); !isClosed(err) {
			t.Errorf("second close: got %v, want net.ErrClosed", err)
		}
		closed(t, n)
	})
}

func TestPacketConn_PassedWriteDeadlineFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := listenPacket(t, New(), a)
		s.SetDeadline(time.Now().Add(-time.Second))
		if _, err := s.WriteTo(nil, s.LocalAddr()); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: got %v", err)
		}
	})
}
