package server

import "time"

// The requests, with their arguments and results.
const (
	OpenNode  = "open-node"  // Node -> None: start, and wait until it is ready
	OpenRaft  = "open-raft"  // Raft -> None
	OpenRedis = "open-redis" // Redis -> RedisInfo
	Look      = "look"       // None -> View
	CatchUp   = "catch-up"   // Index -> None: wait until the replica is there
	Fill      = "fill"       // None -> None: add the standing members
	Begin     = "begin"      // Load -> None: start callers, and let them warm up
	Measure   = "measure"    // Span -> load.Result
	Finish    = "finish"     // None -> None: wait until no call is outstanding
	Read      = "read"       // None -> Meter
	Close     = "close"      // None -> None: the ordinary end of a server

	PulseStart = "pulse-start" // None -> None: begin the light load of the failover
	PulseFirst = "pulse-first" // Instant -> Instant: wait for a write that began later than that, tell when it was acknowledged
	PulseGap   = "pulse-gap"   // Instant -> Gap: since then
	PulseStop  = "pulse-stop"  // None -> PulseSum

	LagWrite = "lag-write" // Lag -> []Sighting: add members one by one
	LagWatch = "lag-watch" // Lag -> []Sighting: see them come
)

// Node is one server of a cluster of globalchannel.
type Node struct {
	SID     string   `json:"sid"`
	Listen  string   `json:"listen"`
	Join    []string `json:"join"`
	DataDir string   `json:"data_dir"`
	Store   string   `json:"store"`
}

// Raft is one server of a cluster of bare Raft; its id is its address.
type Raft struct {
	Addr    string   `json:"addr"`
	Servers []string `json:"servers"`
	DataDir string   `json:"data_dir"`
	Store   string   `json:"store"`
}

// Redis is a client.
type Redis struct {
	Addr        string `json:"addr"`
	Outstanding int    `json:"outstanding"` // the most there will be
	Pool        int    `json:"pool"`        // connections, at most; 0: as many as that
}

// RedisInfo is what the Redis server says of itself.
type RedisInfo struct {
	Version     string `json:"version"`
	AppendOnly  string `json:"appendonly"`
	AppendFsync string `json:"appendfsync"`
	Save        string `json:"save"`
	Pool        int    `json:"pool"` // connections, at most
}

// View is what a server sees of its cluster.
type View struct {
	Leads   bool   `json:"leads"`
	Leader  string `json:"leader"` // "" if none is known
	Term    uint64 `json:"term"`
	Index   uint64 `json:"index"` // seen acknowledged or applied
	Problem string `json:"problem,omitempty"`
}

// Index is a place in the log.
type Index struct {
	Index uint64 `json:"index"`
}

// Load says what the callers do.
type Load struct {
	Callers int           `json:"callers"`
	Group   int           `json:"group,omitempty"` // operations in one Apply; 0: one Add or Leave a call
	WarmUp  time.Duration `json:"warm_up"`
}

// Span is how long to measure.
type Span struct {
	Duration time.Duration `json:"duration"`
}

// Meter is what a process has spent since it started.
type Meter struct {
	CPU     time.Duration `json:"cpu"`
	Appends uint64        `json:"appends"` // to its log store
}

// Instant is a reading of the clock that all processes share.
type Instant struct {
	At time.Duration `json:"at"`
}

// Gap is the longest time between two acknowledgements, or since the last one.
type Gap struct {
	Gap time.Duration `json:"gap"`
}

// PulseSum is what became of the writes of a pulse.
type PulseSum struct {
	Writes int    `json:"writes"`
	Errors int    `json:"errors"`
	Error  string `json:"error,omitempty"` // the first one
}

// Lag says how many members to add, or to see, and where.
type Lag struct {
	Channel string        `json:"channel"`
	Samples int           `json:"samples"`
	Every   time.Duration `json:"every,omitempty"` // one to two times that long between two; not 0
}

// Sighting says when a member was acknowledged, or first seen.
type Sighting struct {
	UID string        `json:"uid"`
	At  time.Duration `json:"at"`
}
