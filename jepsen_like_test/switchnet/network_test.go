package switchnet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pofresh/globalchannel/jepsen_like_test/fault"
)

func TestMain(m *testing.M) {
	if os.Getenv(victimVariable) != "" {
		victim()
	}
	goleak.VerifyTestMain(m)
}

const (
	testPort = 7400
	// soon is when what can arrive has arrived, on a busy machine too.
	soon = 10 * time.Second
)

func newNetwork(t testing.TB, machines ...string) (*Network, map[string]netip.Addr) {
	t.Helper()
	n, err := New(7)
	if errors.Is(err, ErrNotHere) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	addrs := make(map[string]netip.Addr)
	for _, name := range machines {
		if addrs[name], err = n.Attach(name); err != nil {
			t.Fatal(err)
		}
	}
	return n, addrs
}

// socket opens a UDP socket on a machine.
func socket(t testing.TB, n *Network, name string, addr netip.Addr) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	if err := n.Within(name, func() (err error) {
		conn, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, testPort)))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// post sends words from one socket to the address of another.
func post(t testing.TB, from, to *net.UDPConn, text string) {
	t.Helper()
	if _, err := from.WriteTo([]byte(text), to.LocalAddr()); err != nil {
		t.Fatal(err)
	}
}

func receive(t testing.TB, c *net.UDPConn) string {
	t.Helper()
	data := make([]byte, mtu)
	c.SetReadDeadline(time.Now().Add(soon))
	size, err := c.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	return string(data[:size])
}

// eventually waits until the statistics are so.
func eventually(t testing.TB, n *Network, what string, ready func(Stats) bool) {
	t.Helper()
	for began := time.Now(); !ready(n.Stats()); <-time.After(time.Millisecond) {
		if time.Since(began) > soon {
			t.Fatalf("%s: %v", what, n.Stats())
		}
	}
}

func TestNetwork_CarriesConnectionsBetweenAll(t *testing.T) {
	n, addrs := newNetwork(t, "a", "b")
	payload := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
	for _, from := range []string{"b", Clients} {
		var listener net.Listener
		if err := n.Within("a", func() (err error) {
			listener, err = net.Listen("tcp4", netip.AddrPortFrom(addrs["a"], testPort).String())
			return err
		}); err != nil {
			t.Fatal(err)
		}
		echoed := make(chan error, 1)
		go func() {
			conn, err := listener.Accept()
			if err != nil {
				echoed <- err
				return
			}
			_, err = io.Copy(conn, conn)
			echoed <- errors.Join(err, conn.Close())
		}()
		if err := n.Within(from, func() error {
			conn, err := net.DialTimeout("tcp4", listener.Addr().String(), soon)
			if err != nil {
				return err
			}
			defer conn.Close()
			go func() {
				conn.Write(payload)
				conn.(*net.TCPConn).CloseWrite()
			}()
			got, err := io.ReadAll(conn)
			if err == nil && !bytes.Equal(got, payload) {
				err = fmt.Errorf("%d bytes came back, want %d equal ones", len(got), len(payload))
			}
			return err
		}); err != nil {
			t.Errorf("from %s: %v", from, err)
		}
		if err := errors.Join(<-echoed, listener.Close()); err != nil {
			t.Error(err)
		}
	}
}

// A cut stops one direction of one pair, until it is healed.
func TestNetwork_CutIsOneWay(t *testing.T) {
	n, addrs := newNetwork(t, "a", "b", "c")
	a, b, c := socket(t, n, "a", addrs["a"]), socket(t, n, "b", addrs["b"]), socket(t, n, "c", addrs["c"])
	if err := n.Cut("a", "b", fault.Gossip); err != nil {
		t.Fatal(err)
	}
	post(t, a, b, "cut off")
	eventually(t, n, "the packet to be cut off", func(s Stats) bool { return s.Cut == 1 })
	post(t, b, a, "the other way")
	if got := receive(t, a); got != "the other way" {
		t.Errorf("got %q", got)
	}
	post(t, c, b, "by another")
	if got := receive(t, b); got != "by another" {
		t.Errorf("got %q: a cut packet came through", got)
	}
	n.Heal()
	post(t, a, b, "healed")
	if got := receive(t, b); got != "healed" {
		t.Errorf("got %q", got)
	}
}

// What was under way when the cable was pulled is lost too.
func TestNetwork_CutsWhatIsUnderWay(t *testing.T) {
	n, addrs := newNetwork(t, "a", "b")
	a, b := socket(t, n, "a", addrs["a"]), socket(t, n, "b", addrs["b"])
	if err := n.SetWeather("a", "b", fault.Weather{Delay: 200 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	post(t, a, b, "under way")
	eventually(t, n, "the packet to be under way", func(s Stats) bool { return s.Delayed == 1 })
	if err := n.Cut("a", "b", fault.All); err != nil {
		t.Fatal(err)
	}
	eventually(t, n, "the packet to be cut off", func(s Stats) bool { return s.Cut == 1 })
	n.Heal()
	post(t, a, b, "after")
	if got := receive(t, b); got != "after" {
		t.Errorf("got %q", got)
	}
}

func TestNetwork_WeatherDelaysAndDuplicates(t *testing.T) {
	const delay = 50 * time.Millisecond
	n, addrs := newNetwork(t, "a", "b")
	a, b := socket(t, n, "a", addrs["a"]), socket(t, n, "b", addrs["b"])
	if err := n.SetWeather("a", "b", fault.Weather{Delay: delay, Duplicate: 1}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	post(t, a, b, "late")
	for range 2 {
		if got := receive(t, b); got != "late" {
			t.Errorf("got %q", got)
		}
	}
	if took := time.Since(began); took < delay {
		t.Errorf("it took %v, want at least %v", took, delay)
	}
}

// The latency is no fault: nothing is counted as touched until the weather adds to it.
func TestNetwork_MachinesAreFarFromEachOther(t *testing.T) {
	const latency = 50 * time.Millisecond
	n, addrs := newNetwork(t, "a", "b")
	a, b := socket(t, n, "a", addrs["a"]), socket(t, n, "b", addrs["b"])
	if err := n.SetLatency(latency); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	post(t, a, b, "far")
	if got, took := receive(t, b), time.Since(began); got != "far" || took < latency {
		t.Errorf("got %q after %v, want it after at least %v", got, took, latency)
	}
	if s := n.Stats(); s.Touched() != 0 {
		t.Errorf("touched: %v", s)
	}
	if err := n.SetWeather("a", "b", fault.Weather{Delay: latency}); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	post(t, a, b, "farther")
	if got, took := receive(t, b), time.Since(began); got != "farther" || took < 2*latency {
		t.Errorf("got %q after %v, want it after at least %v", got, took, 2*latency)
	}
	if s := n.Stats(); s.Delayed != 1 || s.Touched() != 1 {
		t.Errorf("want one packet delayed: %v", s)
	}
}

func TestNetwork_ClientsAreNear(t *testing.T) {
	n, addrs := newNetwork(t, "a", "b")
	a, b := socket(t, n, "a", addrs["a"]), socket(t, n, "b", addrs["b"])
	client := socket(t, n, Clients, n.byName[Clients].addr)
	if err := n.SetLatency(time.Hour); err != nil {
		t.Fatal(err)
	}
	post(t, client, a, "a question")
	receive(t, a)
	post(t, a, client, "an answer")
	receive(t, client)
	post(t, a, b, "far")
	way, err := n.link("a", "b")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, n, "the packet to be under way", func(Stats) bool { return way.waiting.Load() == 1 })
}

func TestNetwork_ReaddressedMachineIsReachedAtItsNewAddressOnly(t *testing.T) {
	n, addrs := newNetwork(t, "a", "b")
	a, old := socket(t, n, "a", addrs["a"]), socket(t, n, "b", addrs["b"])
	addr, err := n.Readdress("b")
	if err != nil {
		t.Fatal(err)
	}
	if addr == addrs["b"] || addr == addrs["a"] {
		t.Fatalf("the new address is %v, the old ones were %v", addr, addrs)
	}
	b := socket(t, n, "b", addr)
	post(t, a, old, "to the old address")
	eventually(t, n, "the packet to be for nobody", func(s Stats) bool { return s.Stray == 1 })
	post(t, a, b, "to the new one")
	if got := receive(t, b); got != "to the new one" {
		t.Errorf("got %q", got)
	}
}

// Nothing reaches a machine that was taken away, and nothing of what was done to its links
// is done to the machine that comes after it. There may be any number, one after the other.
func TestNetwork_DetachedMachineMakesRoom(t *testing.T) {
	n, addrs := newNetwork(t, "a", "b")
	a, old := socket(t, n, "a", addrs["a"]), socket(t, n, "b", addrs["b"])
	if err := errors.Join(n.Cut("a", "b", fault.All), n.SetWeather("a", "b", fault.Weather{Loss: 1}), n.Detach("b")); err != nil {
		t.Fatal(err)
	}
	post(t, a, old, "to nobody")
	eventually(t, n, "the packet to be for nobody", func(s Stats) bool { return s.Stray == 1 })
	for range 2 * maxMachines {
		addr, err := n.Attach("b")
		if err != nil {
			t.Fatal(err)
		}
		if addr == addrs["b"] {
			t.Fatalf("it has the address %v again", addr)
		}
		b := socket(t, n, "b", addr)
		post(t, a, b, "to the new one")
		if got := receive(t, b); got != "to the new one" {
			t.Errorf("got %q", got)
		}
		if err := errors.Join(b.Close(), n.Detach("b")); err != nil {
			t.Fatal(err)
		}
		addrs["b"] = addr
	}
	if err := n.Within("b", func() error { return nil }); err == nil {
		t.Error("something was done on a machine that is not there")
	}
}

func TestNetwork_SideBySide(t *testing.T) {
	one, addrs := newNetwork(t, "a", "b")
	two, others := newNetwork(t, "a", "b")
	if one.prefix.Overlaps(two.prefix) {
		t.Fatalf("both are %v", one.prefix)
	}
	if err := one.Cut("a", "b", fault.All); err != nil {
		t.Fatal(err)
	}
	a, b := socket(t, two, "a", others["a"]), socket(t, two, "b", others["b"])
	post(t, a, b, "here")
	if got := receive(t, b); got != "here" {
		t.Errorf("got %q", got)
	}
	// Machines of different networks do not see each other, though both are here.
	far := socket(t, one, "a", addrs["a"])
	if _, err := a.WriteTo([]byte("there"), far.LocalAddr()); err == nil {
		t.Error("a packet for another network was sent")
	}
}

func TestNetwork_RefusesWhatIsNotThere(t *testing.T) {
	n, _ := newNetwork(t, "a")
	for what, err := range map[string]error{
		"a cut to nobody":   n.Cut("a", "x", fault.All),
		"a cut from nobody": n.Cut("x", "a", fault.All),
		"a cut to itself":   n.Cut("a", "a", fault.All),
		"loss above one":    n.SetWeather("a", Clients, fault.Weather{Loss: 1.1}),
		"a delay below 0":   n.SetWeather("a", Clients, fault.Weather{Delay: -1}),
		"a latency below 0": n.SetLatency(-1),
		"being on nobody":   n.Within("x", func() error { return nil }),
		"a second a":        second(n.Attach("a")),
		"the client moved":  second(n.Readdress(Clients)),
		"nobody moved":      second(n.Readdress("x")),
		"nobody detached":   n.Detach("x"),
		"clients detached":  n.Detach(Clients),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if err := n.Within("a", func() error { return io.EOF }); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want what the function said", err)
	}
}

func second(_ netip.Addr, err error) error { return err }
