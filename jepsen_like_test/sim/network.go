package sim

import (
	"fmt"

	"github.com/pofresh/globalchannel/jepsen_like_test/fault"
	"github.com/pofresh/globalchannel/jepsen_like_test/nemesis"
	"github.com/pofresh/globalchannel/node/nodetest"
)

var _ nemesis.Network = (*Cluster)(nil)

// Cut implements nemesis.Network.
func (c *Cluster) Cut(from, to string, what fault.Traffic) error {
	c.fault(from, fmt.Sprintf("cannot send %v to %s", what, to))
	switch what {
	case fault.All:
		c.fleet.Cut(from, to)
	case fault.Gossip:
		c.fleet.CutPackets(from, to)
	case fault.Calls:
		c.fleet.CutStreams(from, to)
	}
	return nil
}

// SetWeather implements nemesis.Network.
func (c *Cluster) SetWeather(from, to string, w fault.Weather) error {
	c.fault(from, fmt.Sprintf("sends to %s in weather %+v", to, w))
	c.fleet.SetWeather(from, to, nodetest.Weather(w))
	return nil
}

// Heal implements nemesis.Network.
func (c *Cluster) Heal() error {
	c.fault("", "network healed")
	c.fleet.Heal()
	return nil
}

// Touched implements nemesis.Network.
func (c *Cluster) Touched() uint64 { return c.fleet.Touched() }
