package sim

import (
	"fmt"

	"github.com/pofresh/globalchannel/jepsen_like_test/fault"
	"github.com/pofresh/globalchannel/jepsen_like_test/nemesis"
)

var _ nemesis.Network = (*Cluster)(nil)

// Cut implements nemesis.Network.
func (c *Cluster) Cut(from, to string, what fault.Traffic) error {
	c.fault(from, fmt.Sprintf("cannot send %v to %s", what, to))
	switch what {
	case fault.All:
		c.fleet.Cut(from, to)
	default:
		return fmt.Errorf("cut of %v: not known here", what)
	}
	return nil
}

// SetWeather implements nemesis.Network.
func (c *Cluster) SetWeather(from, to string, w fault.Weather) error {
	return fmt.Errorf("weather: not known here")
}

// Heal implements nemesis.Network.
func (c *Cluster) Heal() error {
	c.fault("", "network healed")
	c.fleet.Heal()
	return nil
}

// Touched implements nemesis.Network.
func (c *Cluster) Touched() uint64 { return 1 }
