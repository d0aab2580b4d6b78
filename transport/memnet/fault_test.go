package memnet

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }

func TestHost_CrashResetsPeersAndClosesHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		pair := connect(t, n)
		l, err := n.Host(b).Listen("tcp", ":7400")
		if err != nil {
			t.Fatal(err)
		}
		s, err := n.Host(b).ListenPacket("udp", ":7400")
		if err != nil {
			t.Fatal(err)
		}
		write(t, pair.far, "arrived before")
		waiting := make(chan error, 1)
		go func() { _, err := l.Accept(); waiting <- err }()
		go func() { _, _, err := s.ReadFrom(nil); waiting <- err }()
		synctest.Wait()

		n.Host(b).Crash()
		for range 2 {
			if err := <-waiting; !isClosed(err) {
				t.Errorf("socket of the crashed host: got %v, want net.ErrClosed", err)
			}
		}
		readError(t, pair.far, net.ErrClosed)
		read(t, pair.near, "arrived before")
		readError(t, pair.near, syscall.ECONNRESET)
		writeError(t, pair.near, syscall.ECONNRESET)
		if _, err := n.Host(a).DialContext(t.Context(), "tcp", l.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial after the crash: got %v, want refused", err)
		}
		again, err := n.Host(b).Listen("tcp", ":7400")
		if err != nil {
			t.Fatalf("listen on the same port at once: %v", err)
		}
		again.Close()
		pair.near.Close()
		closed(t, n)
	})
}

// The node whose host crashed goes on running in the test's process. It must not be heard of any more.
func TestProcess_OfACrashedHostIsSilentForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		l, err := n.Host(b).Listen("tcp", ":7400")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		old := n.Host(a).Process()
		n.Cut(a, b)
		dialling := make(chan error, 1)
		go func() {
			_, err := old.DialContext(context.Background(), "tcp", b+":7400")
			dialling <- err
		}()
		synctest.Wait()
		n.Host(a).Crash()
		if err := <-dialling; !isClosed(err) {
			t.Errorf("dial that waited: got %v, want net.ErrClosed", err)
		}
		n.HealAll()
		if _, err := old.DialContext(t.Context(), "tcp", b+":7400"); !isClosed(err) {
			t.Errorf("dial: got %v, want net.ErrClosed", err)
		}
		if _, err := old.Listen("tcp", ":0"); !isClosed(err) {
			t.Errorf("listen: got %v, want net.ErrClosed", err)
		}
		if _, err := old.ListenPacket("udp", ":0"); !isClosed(err) {
			t.Errorf("listen for packets: got %v, want net.ErrClosed", err)
		}
		fresh, err := n.Host(a).Process().DialContext(t.Context(), "tcp", b+":7400")
		if err != nil {
			t.Fatalf("dial of a new process: %v", err)
		}
		fresh.Close()
	})
}

func TestNet_CrashAcrossACutIsNoticedAtHeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		pair := connect(t, n)
		n.Cut(b, a)
		write(t, pair.far, "was never acknowledged, dies with the host")
		n.Host(b).Crash()
		quiet(t, pair.near)
		write(t, pair.near, "into the void")
		quiet(t, pair.near)
		n.Heal(b, a)
		readError(t, pair.near, syscall.ECONNRESET)
		pair.near.Close()
		closed(t, n)
	})
}

func TestNet_CutHoldsBytesOfOneDirection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		pair := connect(t, n)
		write(t, pair.near, "arrived, ")
		n.Cut(a, b)
		write(t, pair.near, "held")
		pair.near.(*conn).CloseWrite()
		read(t, pair.far, "arrived, ")
		quiet(t, pair.far)
		write(t, pair.far, "the other way")
		read(t, pair.near, "the other way")
		n.Heal(a, b)
		read(t, pair.far, "held")
	})
}

func TestNet_CutCatchesWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		pair := connect(t, n)
		n.SetLatency(time.Second)
		write(t, pair.near, "x")
		n.Cut(a, b)
		quiet(t, pair.far)
		healed := time.Now()
		n.HealAll()
		read(t, pair.far, "x")
		if d := time.Since(healed); d != time.Second {
			t.Errorf("arrived %v after the heal, want the latency", d)
		}
	})
}

// Without acknowledgements a sender may send one window more, whatever the reader reads. So the leader that reaches its
// followers but cannot hear them comes to a stand.
func TestNet_CutOfTheWayBackShutsTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		pair := connect(t, n)
		n.Cut(b, a)
		if _, err := pair.near.Write(make([]byte, window)); err != nil {
			t.Fatal(err)
		}
		read(t, pair.far, strings.Repeat("\x00", window))
		pair.near.SetWriteDeadline(time.Now().Add(time.Hour))
		if _, err := pair.near.Write(make([]byte, 1)); !isTimeout(err) {
			t.Fatalf("write: got %v, want a timeout", err)
		}
		pair.near.SetWriteDeadline(time.Time{})
		wrote := make(chan error, 1)
		go func() { _, err := pair.near.Write([]byte("goes on")); wrote <- err }()
		synctest.Wait()
		n.Heal(b, a)
		if err := <-wrote; err != nil {
			t.Fatal(err)
		}
		read(t, pair.far, "goes on")
	})
}

func TestNet_DialWaitsForBothDirections(t *testing.T) {
	for _, cut := range []link2{{a, b}, {b, a}} {
		synctest.Test(t, func(t *testing.T) {
			n := New()
			l, err := n.Host(b).Listen("tcp", ":7400")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			n.Cut(cut.from, cut.to)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			start := time.Now()
			_, err = n.Host(a).DialContext(ctx, "tcp", b+":7400")
			if !errors.Is(err, context.DeadlineExceeded) || !isTimeout(err) || time.Since(start) != time.Minute {
				t.Errorf("got %v after %v, want a timeout after a minute", err, time.Since(start))
			}
			time.AfterFunc(time.Hour, n.HealAll)
			pair, err := n.Host(a).DialContext(context.Background(), "tcp", b+":7400")
			if err != nil || time.Since(start) != time.Minute+time.Hour {
				t.Fatalf("got %v after %v, want a connection at the heal", err, time.Since(start))
			}
			pair.Close()
		})
	}
}

// link2 is a link in words.
type link2 struct{ from, to string }

func TestNet_UnpluggedMachineIsCutOffFromAllUntilPlug(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		one, two, three := listenPacket(t, n, a), listenPacket(t, n, b), listenPacket(t, n, c)
		pair := connect(t, n)
		n.SetLatency(time.Second)
		sendPacket(t, one, two, "in flight")
		n.Unplug(b)
		n.HealAll()
		sendPacket(t, one, two, "lost")
		sendPacket(t, two, three, "lost")
		sendPacket(t, two, two, "to itself")
		sendPacket(t, one, three, "between others")
		receive(t, two, "to itself")
		receive(t, three, "between others")
		write(t, pair.near, "held")
		write(t, pair.far, "held")
		quiet(t, pair.near)
		n.Cut(a, b)
		n.Plug(b)
		read(t, pair.near, "held")
		quiet(t, pair.far) // the cut is another matter
		n.Heal(a, b)
		read(t, pair.far, "held")
		sendPacket(t, one, two, "plugged")
		receive(t, two, "plugged")
		nothing(t, two)
		nothing(t, three)
	})
}
