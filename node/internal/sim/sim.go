// Package sim is what a simulated machine offers a node beyond a network: a disk,
// and a power switch. nodetest implements it; a node asks its Config.Network for it.
package sim

import (
	"github.com/pofresh/globalchannel/node/internal/disk"
	"github.com/pofresh/globalchannel/transport"
)

// Machine is a simulated machine.
type Machine interface {
	transport.Network
	// OpenDisk is asked instead of the file system when Config.DataDir is set.
	OpenDisk(dir, sid string) (*disk.Store, error)
	// Compactor is told how to have the node take a snapshot soon, and forget the log
	// before it.
	Compactor(soon func())
	// Killed reports that the machine is off: the node on it is only being cleaned
	// up and must not say goodbye to anybody.
	Killed() bool
}
