package server

import (
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/meter"
)

// The requests, with their arguments and results.
const (
	OpenNode  = "open-node"  // Node -> None: start, and wait until it is ready
	OpenCrew  = "open-crew"  // Crew -> None: many nodes in this process
	OpenRaft  = "open-raft"  // Raft -> None
	OpenRedis = "open-redis" // Redis -> RedisInfo
	Look      = "look"       // None -> View
	CatchUp   = "catch-up"   // Index -> None: wait until the replica is there
	Fill      = "fill"       // None -> None: add the standing members
	Empty     = "empty"      // None -> None: remove all members
	Stock     = "stock"      // Amount -> Index: add members, at once
	Begin     = "begin"      // Load -> None: start callers, and let them warm up
	Measure   = "measure"    // Span -> load.Result
	Finish    = "finish"     // Named -> None: wait until no call is outstanding
	Read      = "read"       // None -> Meter
	Profile   = "profile"    // Spent -> None: write a CPU profile
	Close     = "close"      // None -> None: the ordinary end of a server

	Arrive = "arrive" // Newcomer -> Arrival: start one more server, read, and close it

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

	Expect    int           `json:"expect,omitempty"`    // founders; 0: it joins
	NonVoter  bool          `json:"non_voter,omitempty"` // never a voter
	SType     string        `json:"stype,omitempty"`
	ReapAfter time.Duration `json:"reap_after,omitempty"` // 0: the default
	Counted   bool          `json:"counted,omitempty"`    // count what it sends
}

// Crew is many servers of a cluster.
type Crew struct {
	Nodes []Node `json:"nodes"`
}

// Amount says which members to add, at most 4,096.
type Amount struct {
	First   int `json:"first"`
	Members int `json:"members"`
}

// Spent says where to write a profile, and of how long.
type Spent struct {
	File     string        `json:"file"`
	Duration time.Duration `json:"duration"`
}

// Newcomer is a server to be started.
type Newcomer struct {
	Node Node `json:"node"`
}

// Arrival is what became of it.
type Arrival struct {
	Read     time.Duration `json:"read"`     // from its start to the answer of a linearizable read
	Ready    time.Duration `json:"ready"`    // to its registration
	Received uint64        `json:"received"` // bytes until then
	Members  int           `json:"members"`  // in the channel that was read
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
	Index   uint64 `json:"index"`  // seen acknowledged or applied
	Voters  int    `json:"voters"` // in this process
	Problem string `json:"problem,omitempty"`
}

// Index is a place in the log.
type Index struct {
	Index uint64 `json:"index"`
}

// Load says what the callers do.
type Load struct {
	Name    string        `json:"name,omitempty"` // if there are several in a process
	Callers int           `json:"callers"`
	Rate    int           `json:"rate,omitempty"`  // calls a second; 0: each caller as fast as it gets answers
	Group   int           `json:"group,omitempty"` // operations in one Apply; 0: one Add or Leave a call
	Push    *Push         `json:"push,omitempty"`  // of a pusher
	Churn   *Churn        `json:"churn,omitempty"` // of a frontend; of a pusher: in Redis
	WarmUp  time.Duration `json:"warm_up"`
}

// Named is one of several loads; "": the one without a name.
type Named struct {
	Name string `json:"name,omitempty"`
}

// Span is how long to measure which load.
type Span struct {
	Name     string        `json:"name,omitempty"`
	Duration time.Duration `json:"duration"`
}

// Meter is what a process has spent since it started.
type Meter struct {
	CPU     time.Duration `json:"cpu"`
	Appends uint64        `json:"appends"` // to its log store
	Sent    meter.Sent    `json:"sent"`    // by nodes
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
