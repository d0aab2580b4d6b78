package nodetest

import (
	"syscall"

	"github.com/pofresh/globalchannel/node/internal/disk"
)

// DiskPart is what a fault of a disk concerns.
type DiskPart uint8

const (
	LogWrites    DiskPart = iota // entries that are written to the log, or deleted from it
	VoteWrites                   // Raft's term and vote
	SnapshotData                 // snapshots that are written
	LogReads                     // entries that are read from the log
)

func (p DiskPart) String() string {
	return [...]string{"log writes", "vote writes", "snapshots", "log reads"}[p]
}

func onDisk(which []DiskPart) []disk.Part {
	to := map[DiskPart]disk.Part{LogWrites: disk.Log, VoteWrites: disk.Stable, SnapshotData: disk.Snapshots, LogReads: disk.Reads}
	var parts []disk.Part
	for _, p := range which {
		parts = append(parts, to[p])
	}
	return parts
}

// StallDisk makes the disk of a server stand still: every entry that its node
// writes to the log from now on is neither written nor answered for until resume,
// which then lets it go on as if it had only been slow. Raft's main loop waits with
// it: a leader goes on leading but commits nothing, a follower answers nobody. After
// 3 s the node takes no part in Raft until the disk goes on. Terms, votes and snapshots
// are written as ever, unless which names the parts that stall.
//
// Kill ends the stall too, and what was held is then not on the disk; so does the end
// of the test. Close of the node does not, and reports a hanging disk call. resume may
// be called at any time and more than once. A server that is Diskless, or whose
// disk is stalled already, fails the test.
func (f *Fleet) StallDisk(sid string, which ...DiskPart) (resume func()) {
	f.t.Helper()
	if len(which) == 0 {
		which = []DiskPart{LogWrites}
	}
	resume, ok := f.disk(sid).Stall(onDisk(which)...)
	if !ok {
		f.t.Fatalf("nodetest: %q has no disk, or it is stalled already", sid)
	}
	return resume
}

// FailDisk makes the disk of a server give an input/output error for everything that
// its node writes from now on, or for the parts that which names. Nothing of that is on
// the disk afterwards. It lasts, over Kill and Restart too, until repair.
func (f *Fleet) FailDisk(sid string, which ...DiskPart) (repair func()) {
	f.t.Helper()
	if len(which) == 0 {
		which = []DiskPart{LogWrites, VoteWrites, SnapshotData}
	}
	d, parts := f.disk(sid), onDisk(which)
	if !d.Fail(syscall.EIO, parts...) {
		f.t.Fatalf("nodetest: %q has no disk", sid)
	}
	return func() { d.Fail(nil, parts...) }
}

// FillDisk leaves so many bytes of room on the disk of a server, however much its node
// then writes; with 0 every write fails. It lasts, over Kill and Restart too, until
// empty.
func (f *Fleet) FillDisk(sid string, free uint64) (empty func()) {
	f.t.Helper()
	d := f.disk(sid)
	if !d.Fill(free) {
		f.t.Fatalf("nodetest: %q has no disk", sid)
	}
	return d.Empty
}

func (f *Fleet) disk(sid string) *disk.Memory {
	f.t.Helper()
	s := f.server(sid)
	return s.machine.disk(s.cfg.DataDir)
}
