package seeded

// condition is what is rare in a short run, and no bug.
type condition struct {
	name  string
	edits []Edit
}

const (
	oftenSnapshots = "snapshots often"
	jumpedClock    = "the clock has jumped"
)

var conditions = []condition{{
	name: oftenSnapshots,
	edits: []Edit{{
		File: "node/raft.go",
		Old:  `	conf.ShutdownOnRemove = false // the host lives on, as a forwarding frontend`,
		New: `	if seeded.Active("snapshots often") {
		conf.SnapshotInterval, conf.SnapshotThreshold, conf.TrailingLogs = time.Second, 16, 4
	}
	conf.ShutdownOnRemove = false // the host lives on, as a forwarding frontend`,
	}},
}, {
	// The only place where the product reads the wall clock, see TestProduct_ReadsTheWallClockOnce:
	// all else is between two readings of one process, where Go takes the monotonic clock.
	name: jumpedClock,
	edits: []Edit{{
		File: "cluster/gossip.go",
		Old:  `started: time.Now().UnixMilli()`,
		New:  `started: seeded.Jumped(time.Now()).UnixMilli()`,
	}},
}}

// Often is the environment of a process of an overlay build that has no bug, and takes
// snapshots all the time. Each time that it is started its clock has jumped, by days.
func Often() []string { return []string{bugVariable + "=" + oftenSnapshots + "," + jumpedClock} }
