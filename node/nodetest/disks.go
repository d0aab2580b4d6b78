package nodetest

import (
	"syscall"
	"time"

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

// SlowDisk makes everything that a server writes to its log, votes and snapshots from
// now on take so long: what a sync takes on a bad disk. It lasts, over Kill and Restart too,
// until mend. Kill loses a write that is under way, PowerOff leaves it to chance.
func (f *Fleet) SlowDisk(sid string, sync time.Duration) (mend func()) {
	f.t.Helper()
	d := f.disk(sid)
	if !d.Slow(sync) {
		f.t.Fatalf("nodetest: %q has no disk", sid)
	}
	return func() { d.Slow(0) }
}

// DiskFile is a part of a data directory.
type DiskFile uint8

const (
	LogFile      DiskFile = iota // the log, with Raft's term and vote
	SnapshotFile                 // the newest snapshot
)

func (d DiskFile) String() string { return [...]string{"log", "snapshot"}[d] }

func (d DiskFile) part() disk.Part {
	return map[DiskFile]disk.Part{LogFile: disk.Log, SnapshotFile: disk.Snapshots}[d]
}

// FlipBits changes some bits, by chance, of a file of a server that does not run. The next
// start meets what a real one meets: checksums do not match, so a log is refused (see
// TryRestart, and Wipe for the way out), and for a snapshot there may be an older one. An
// error says that there is no such file yet, or that the server runs.
func (f *Fleet) FlipBits(sid string, file DiskFile) error {
	f.t.Helper()
	return f.disk(sid).FlipBits(file.part(), f.chance)
}

// TruncateFile is like FlipBits; it loses the end of the file, any part of it.
func (f *Fleet) TruncateFile(sid string, file DiskFile) error {
	f.t.Helper()
	return f.disk(sid).Truncate(file.part(), f.chance)
}

// Wipe gives a server that does not run an empty disk, in good order. Restart then
// starts a new node.
func (f *Fleet) Wipe(sid string) error {
	f.t.Helper()
	return f.disk(sid).Wipe()
}

// CopyDisk keeps what is on the disk of a server that does not run. restore puts that
// back, as from a backup, as often as one likes; it too is for a server that does not run.
func (f *Fleet) CopyDisk(sid string) (restore func() error, err error) {
	f.t.Helper()
	return f.disk(sid).Copy()
}

// LastIndex is of the newest entry on a server's disk, in its log or a snapshot; 0: there
// is none.
func (f *Fleet) LastIndex(sid string) uint64 {
	f.t.Helper()
	return f.disk(sid).LastIndex()
}

func (f *Fleet) disk(sid string) *disk.Memory {
	f.t.Helper()
	s := f.server(sid)
	return s.machine.disk(s.cfg.DataDir)
}
