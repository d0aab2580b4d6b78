package server

import (
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/ancestor"
	"github.com/pofresh/globalchannel/cmd/bench/internal/meter"
)

// The requests of pushes, with their arguments and results.
const (
	OpenFrontend = "open-frontend" // Node -> ancestor.Frontend: a node with a handler, and the ancestor's service beside it
	OpenPusher   = "open-pusher"   // Pusher -> PusherInfo: a node, and the ancestor's client beside it
	Gather       = "gather"        // Gathering -> Index: make channels, in Redis too
	Count        = "count"         // Counting -> Tally
)

// Types of servers, for pushes.
const (
	FrontendType = "frontend"
	PusherType   = "pusher"
)

// Pusher is the process that pushes.
type Pusher struct {
	Node      Node                `json:"node"`
	Redis     string              `json:"redis,omitempty"` // host:port; "": only the node is there
	Pool      int                 `json:"pool,omitempty"`  // connections to it, at most
	Frontends []ancestor.Frontend `json:"frontends"`
}

// PusherInfo is what it found.
type PusherInfo struct {
	RedisVersion string `json:"redis_version,omitempty"`
}

// Gathering makes channels of one shape. Each frontend has players of its own, and
// each channel the next Each of them, from the first again after the last.
type Gathering struct {
	Channels []string `json:"channels"`
	SIDs     []string `json:"sids"`
	Each     int      `json:"each"`    // members of a channel on a frontend
	Players  int      `json:"players"` // of a frontend
}

// The ways to push.
const (
	ByNode     = "node"
	ByAncestor = "redis"
)

// Push is what the callers of a load do.
type Push struct {
	By       string        `json:"by"`
	Route    string        `json:"route"`    // one of Routes
	Channels []string      `json:"channels"` // each caller goes through all of them
	Members  int           `json:"members"`  // of each channel; a push to others is an error
	Spare    int           `json:"spare"`    // that a channel may have more
	Bytes    int           `json:"bytes"`    // of the message
	Timeout  time.Duration `json:"timeout"`  // 0: the node's own
}

// Routes are what pushes are counted by: those that are measured, and those beside them.
var Routes = [...]string{RouteMeasured, RouteBeside}

const (
	RouteMeasured = "bench.measured"
	RouteBeside   = "bench.beside"
)

// Churn is a load that changes channels: each caller adds one member of its own to all
// of them, removes it with its next call, and goes on to the next server.
type Churn struct {
	Channels []string `json:"channels"`
	SIDs     []string `json:"sids"`
}

// Counting says what to count.
type Counting struct {
	Route   string `json:"route"`
	Collect bool   `json:"collect,omitempty"` // garbage first, so that memory is of what is in use
}

// Tally is what a process has done and spent since it started.
type Tally struct {
	At     time.Duration `json:"at"`  // on the clock that all processes share
	CPU    time.Duration `json:"cpu"` // that of Redis too, for whom it pushes by the ancestor's way
	Memory meter.Memory  `json:"memory"`
	TCP    uint64        `json:"tcp"` // bytes sent and received, without headers; 0 if not Counted

	// By route.
	Pushes     uint64 `json:"pushes"` // that this process made and that reached all members
	Failed     uint64 `json:"failed"` // others that it made
	Deliveries uint64 `json:"deliveries"`
	UIDs       uint64 `json:"uids"` // that its handler went through
}
