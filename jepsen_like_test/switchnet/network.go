package switchnet

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/fault"
)

// ErrNotHere means that this machine or this user can't have such networks: a test
// that needs one says so and skips itself.
var ErrNotHere = errors.New("networks of namespaces can't be had here")

// Clients is the name of this process among the machines.
const Clients = "clients"

const (
	mtu         = 1500
	firstHost   = 1
	lastHost    = 253
	clientsHost = 254
	maxMachines = 64
)

// Network is a switch and what is plugged into it. All methods may be called
// concurrently.
type Network struct {
	seed   uint64
	start  time.Time
	prefix netip.Prefix
	queue  *queue
	stop   chan struct{}
	group  sync.WaitGroup // all readers and the queue
	counts counts

	latency atomic.Int64 // a time.Duration

	byHost [256]atomic.Pointer[port] // by the last byte of the address

	mu     sync.Mutex // guards all below, and ports' addresses
	byName map[string]*port
	host   int // the newest one given out
	closed bool
	broken error // why a reader ended although nobody unplugged it
}

// port is where a machine is plugged in.
type port struct {
	name   string
	number int // in the links of others
	space  *namespace
	device *os.File
	label  string // of the device, inside the namespace
	addr   netip.Addr
	links  [maxMachines]link // to the ports of these numbers
	ended  chan struct{}     // closed when nobody reads what it sends any more
}

// New makes a network with this process as its only machine.
func New(seed uint64) (*Network, error) {
	n := &Network{seed: seed, start: time.Now(), queue: newQueue(), stop: make(chan struct{}), byName: make(map[string]*port)}
	clients := &port{name: Clients, ended: make(chan struct{})}
	var err error
	if clients.device, clients.label, n.prefix, err = openClientsDevice(); err != nil {
		return nil, err
	}
	// Asked now, so that it is New that says what can't be had.
	probe, err := newNamespace()
	if err != nil {
		return nil, errors.Join(err, clients.device.Close())
	}
	if err := errors.Join(probe.close(), n.give(clients, clientsHost)); err != nil {
		return nil, errors.Join(err, clients.device.Close())
	}
	n.group.Go(func() { n.queue.run(n.stop, n.now, n.arrive) })
	n.mu.Lock()
	defer n.mu.Unlock()
	n.plugLocked(clients)
	return n, nil
}

// Able tells why New would fail; nil: it would not.
func Able() error {
	n, err := New(0)
	if err != nil {
		return err
	}
	return n.Close()
}

// Attach adds a machine and returns its address.
func (n *Network) Attach(name string) (netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed:
		return netip.Addr{}, os.ErrClosed
	case n.byName[name] != nil:
		return netip.Addr{}, fmt.Errorf("there is a machine %q already", name)
	case len(n.byName) == maxMachines:
		return netip.Addr{}, fmt.Errorf("no room for machine %q beside %d others", name, maxMachines)
	}
	space, err := newNamespace()
	if err != nil {
		return netip.Addr{}, err
	}
	p := &port{name: name, number: n.freeNumberLocked(), space: space, ended: make(chan struct{})}
	if p.device, p.label, err = space.openDevice(); err != nil {
		return netip.Addr{}, errors.Join(err, space.close())
	}
	if err := n.give(p, n.freeHostLocked()); err != nil {
		return netip.Addr{}, errors.Join(err, p.device.Close(), space.close())
	}
	n.plugLocked(p)
	return p.addr, nil
}

// Detach takes a machine away for good; processes on it should be gone. What is under
// way to it is lost, and its name may be another's.
func (n *Network) Detach(name string) error {
	n.mu.Lock()
	p := n.byName[name]
	if p == nil || p.space == nil || n.closed {
		n.mu.Unlock()
		return fmt.Errorf("no machine %q", name)
	}
	delete(n.byName, name)
	n.byHost[p.addr.As4()[3]].Store(nil)
	for _, other := range n.byName { // whose link is the next one's that has this number
		other.links[p.number].cut.Store(0)
		other.links[p.number].weather.Store(nil)
	}
	n.mu.Unlock()
	err := p.device.Close()
	<-p.ended
	return errors.Join(err, p.space.close())
}

// Readdress gives a machine another address. Connections to the old one are dead, and
// what is sent to it is lost.
func (n *Network) Readdress(name string) (netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.byName[name]
	if p == nil || p.space == nil {
		return netip.Addr{}, fmt.Errorf("no machine %q", name)
	}
	old := p.addr
	if err := n.give(p, n.freeHostLocked()); err != nil {
		return netip.Addr{}, err
	}
	n.byHost[old.As4()[3]].Store(nil)
	return p.addr, nil
}

// Within runs do on a thread that is on that machine: sockets that it opens and
// processes that it starts are there for good. do must not end its goroutine.
func (n *Network) Within(name string, do func() error) error {
	n.mu.Lock()
	p := n.byName[name]
	n.mu.Unlock()
	if p == nil {
		return fmt.Errorf("no machine %q", name)
	}
	if p.space == nil {
		return do()
	}
	return p.space.within(do)
}

// Cut stops what is sent from one machine to another, until Heal; cuts add up.
func (n *Network) Cut(from, to string, what fault.Traffic) error {
	l, err := n.link(from, to)
	if err != nil {
		return err
	}
	l.cut.Or(bit(what))
	return nil
}

// SetLatency is how long each packet takes from one machine to another from now on, one
// way, whatever the weather. Clients are near everybody: they would only ask less often.
func (n *Network) SetLatency(d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("latency %v is below 0", d)
	}
	n.latency.Store(int64(d))
	return nil
}

// between is the latency from one machine to another.
func (n *Network) between(from, to *port) time.Duration {
	if from.space == nil || to.space == nil {
		return 0
	}
	return time.Duration(n.latency.Load())
}

// SetWeather replaces the weather between two machines, one way.
func (n *Network) SetWeather(from, to string, w fault.Weather) error {
	l, err := n.link(from, to)
	if err != nil {
		return err
	}
	for what, p := range map[string]float64{"loss": w.Loss, "duplicate": w.Duplicate, "reorder": w.Reorder} {
		if !(0 <= p && p <= 1) {
			return fmt.Errorf("weather: %s is %v, want 0 to 1", what, p)
		}
	}
	if w.Delay < 0 || w.Jitter < 0 {
		return fmt.Errorf("weather: delay %v and jitter %v can't be below 0", w.Delay, w.Jitter)
	}
	if w == (fault.Weather{}) {
		l.weather.Store(nil)
	} else {
		l.weather.Store(&w)
	}
	return nil
}

// Heal ends all cuts and all weather. Packets that are under way arrive when they
// are due.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.byName {
		for i := range p.links {
			p.links[i].cut.Store(0)
			p.links[i].weather.Store(nil)
		}
	}
}

func (n *Network) link(from, to string) (*link, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f, t := n.byName[from], n.byName[to]
	if f == nil || t == nil || f == t {
		return nil, fmt.Errorf("no link from %q to %q", from, to)
	}
	return &f.links[t.number], nil
}

// Close unplugs and removes everything; processes on the machines should be gone. Its
// error is also what had gone wrong before.
func (n *Network) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	close(n.stop)
	errs := []error{n.broken}
	for _, p := range n.byName {
		errs = append(errs, p.device.Close())
	}
	n.mu.Unlock()
	n.group.Wait()
	for _, p := range n.byName {
		if p.space != nil {
			errs = append(errs, p.space.close())
		}
	}
	return errors.Join(errs...)
}

// give configures a machine's device with that host number and leads packets there.
func (n *Network) give(p *port, host byte) error {
	bytes := n.prefix.Addr().As4()
	bytes[3] = host
	addr := netip.AddrFrom4(bytes)
	set := func() error { return configure(p.label, addr, n.prefix.Bits()) }
	if p.space != nil {
		inner := set
		set = func() error { return p.space.within(inner) }
	}
	if err := set(); err != nil {
		return fmt.Errorf("give %s the address %v: %w", p.name, addr, err)
	}
	p.addr = addr
	n.byHost[host].Store(p)
	return nil
}

// freeHostLocked goes round, so that an address given up is not soon used again.
func (n *Network) freeHostLocked() byte {
	for {
		if n.host++; n.host > lastHost {
			n.host = firstHost
		}
		if n.byHost[n.host].Load() == nil { // there are more of them than machines
			return byte(n.host)
		}
	}
}

// freeNumberLocked is one that no port has. There are as many as machines.
func (n *Network) freeNumberLocked() int {
	var taken [maxMachines]bool
	for _, p := range n.byName {
		taken[p.number] = true
	}
	return slices.Index(taken[:], false)
}

func (n *Network) plugLocked(p *port) {
	n.byName[p.name] = p
	n.group.Go(func() {
		defer close(p.ended)
		n.forward(p)
	})
}

func (n *Network) now() time.Duration { return time.Since(n.start) }
