// Package fault has the words for what is done to a cluster: they mean the same for
// real processes (harness) and for simulated ones (sim), and nemesis speaks them.
package fault

import "time"

// Traffic is a part of what servers send each other.
type Traffic uint8

// The parts.
const (
	All    Traffic = iota
	Gossip         // packets; gossip's streams share the port of all other calls
	Calls          // connections: Raft, gRPC, and gossip's streams
)

func (t Traffic) String() string { return [...]string{"everything", "gossip", "calls"}[t] }

// Weather is what happens to what one machine sends another. The zero value is good
// weather.
type Weather struct {
	Delay, Jitter time.Duration // one way; Jitter adds up to so much, at random
	Loss          float64       // of packets, 0 to 1; connections repeat them, which takes time
	Duplicate     float64       // of packets
	Reorder       float64       // of packets, which so many others overtake
}

// File is a part of a data directory.
type File uint8

// The parts.
const (
	Log File = iota
	Snapshot
)

func (f File) String() string { return [...]string{"log", "snapshot"}[f] }

// Damage is what became of a file while nobody looked.
type Damage uint8

// The kinds of damage.
const (
	Flipped   Damage = iota // some bits
	Truncated               // the end is gone
)

func (d Damage) String() string { return [...]string{"flipped bits", "truncation"}[d] }
