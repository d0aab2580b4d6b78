package harness

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/pofresh/globalchannel/jepsen_like_test/fault"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/transport/ports"
)

// networkPort is where a server on a machine of its own listens.
const networkPort = 7400

var errNoNetwork = errors.New("the servers are on loopback, which can't be cut or spoiled")

// addresses are where the servers will listen.
func addresses(o Options) (addrs []string, err error) {
	if o.Network == nil {
		return ports.Free(len(o.Servers))
	}
	for _, spec := range o.Servers {
		addr, err := o.Network.Attach(spec.SID)
		if err != nil {
			return nil, fmt.Errorf("a machine for %s: %w", spec.SID, err)
		}
		addrs = append(addrs, onNetwork(addr))
	}
	return addrs, nil
}

func onNetwork(addr netip.Addr) string {
	return net.JoinHostPort(addr.String(), strconv.Itoa(networkPort))
}

// on does something on the machine of that server.
func (c *Cluster) on(sid string, do func() error) error {
	if c.network == nil {
		return do()
	}
	return c.network.Within(sid, do)
}

// Cut loses what one server sends another, until Heal. Clients reach all the same:
// they have a link of their own, which switchnet.Clients names.
func (c *Cluster) Cut(from, to string, what fault.Traffic) error {
	if c.network == nil {
		return errNoNetwork
	}
	c.note(history.Event{F: history.Fault, Via: from, Text: fmt.Sprintf("%v to %s is cut off", what, to)})
	return c.network.Cut(from, to, what)
}

// SetWeather is for what one server sends another.
func (c *Cluster) SetWeather(from, to string, w fault.Weather) error {
	if c.network == nil {
		return errNoNetwork
	}
	c.note(history.Event{F: history.Fault, Via: from, Text: fmt.Sprintf("weather on the way to %s: %+v", to, w)})
	return c.network.SetWeather(from, to, w)
}

// Heal ends all cuts and all weather.
func (c *Cluster) Heal() error {
	if c.network == nil {
		return errNoNetwork
	}
	c.note(history.Event{F: history.Fault, Text: "the network is healed"})
	c.network.Heal()
	return nil
}

// Networked tells whether the network can be cut and spoiled.
func (c *Cluster) Networked() bool { return c.network != nil }

// Touched counts the packets that were lost, doubled or held up for a while so far.
func (c *Cluster) Touched() uint64 {
	if c.network == nil {
		return 0
	}
	return c.network.Stats().Touched()
}

// Move gives a server that does not run another address: another machine's on a
// network, another port on loopback. The others have it in no list; they learn it
// from the server, once it is started again.
func (s *Server) Move() error {
	if s.process != nil && !s.ended {
		return fmt.Errorf("%s runs: end it before it moves", s.SID)
	}
	addr, err := s.cluster.anotherAddress(s.SID)
	if err != nil {
		return fmt.Errorf("move %s: %w", s.SID, err)
	}
	s.note("move to " + addr)
	if i := slices.Index(s.cluster.addrs, s.Addr); i >= 0 { // guests are in no list
		s.cluster.addrs = slices.Clone(s.cluster.addrs)
		s.cluster.addrs[i] = addr
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Addr = addr
	if s.conn != nil {
		err = s.conn.Close() // the next Connect dials the new address
		s.conn = nil
	}
	return err
}

func (c *Cluster) anotherAddress(sid string) (string, error) {
	if c.network == nil {
		addrs, err := ports.Free(1)
		if err != nil {
			return "", err
		}
		return addrs[0], nil
	}
	addr, err := c.network.Readdress(sid)
	if err != nil {
		return "", err
	}
	return onNetwork(addr), nil
}
