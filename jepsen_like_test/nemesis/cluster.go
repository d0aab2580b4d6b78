package nemesis

import (
	"context"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/fault"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// Cluster is what can be hurt, real (harness) or simulated (sim). Servers are named by
// their sids. What has an effect is noted in the history by the cluster itself.
type Cluster interface {
	Voters() []string    // those that founded it
	NonVoters() []string // all others
	Status(ctx context.Context, sid string) (*pb.StatusResponse, error)
	// Lives are the epochs that a server shows, by sid; it notes them.
	Lives(ctx context.Context, via string) (map[string]uint64, error)
	// Write demands one acknowledged write through each of those servers. It is for the
	// state to have, not for the history. It may be called concurrently.
	Write(ctx context.Context, through ...string) error
	Transfer(ctx context.Context, leader string) error // it gives leadership to any voter that can take it
	Kill(sids ...string) error                         // as SIGKILL does, all at one moment
	Start(ctx context.Context, sids ...string) error   // again, on their data; it does not wait for them
	Ready(ctx context.Context, sids ...string) error   // waits until each has a life
	End(ctx context.Context, sids ...string) error     // asks them to end, one after the other, and waits
}

// Pauser can stop processes and let them go on.
type Pauser interface {
	Pause(sids ...string) error
	Resume(sids ...string) error
}

// Network can be spoiled. Cuts are silent: what is sent is lost, and nobody is told.
type Network interface {
	Cut(from, to string, what fault.Traffic) error // one way
	SetWeather(from, to string, w fault.Weather) error
	Heal() error // all cuts and all weather
	// Touched counts what was lost, delayed or otherwise changed so far: packets, or
	// what comes closest to them.
	Touched() uint64
}

// Disks can be spoiled. Each returned function mends what was done.
type Disks interface {
	FillDisk(sid string) (mend func() error, err error)                     // no room is left
	FailDisk(sid string) (mend func() error, err error)                     // writes give input/output errors
	HangDisk(sid string) (mend func() error, err error)                     // writes and fsync return when it is mended
	SlowDisk(sid string, sync time.Duration) (mend func() error, err error) // each fsync takes so long at least
	// CutPower kills servers, and what they had not synced is gone.
	CutPower(sids ...string) error

	// Of a server that does not run:
	Damage(sid string, f fault.File, d fault.Damage) error // an error if there is no such file yet
	Wipe(sid string) error                                 // the data directory is empty
	Copy(sid string) (restore func() error, err error)     // restore puts the directory back as it was at Copy
	LastIndex(sid string) (uint64, error)                  // of the newest entry that it has, committed or not
}

// Mover can start a server that does not run at another address, on its data.
type Mover interface {
	Move(ctx context.Context, sid string) error
}

// Joiner can grow and shrink. Who joined is a guest: not among Voters and NonVoters, and
// to be killed, started and asked like others.
type Joiner interface {
	Join(ctx context.Context, g Guest) error            // starts it and does not wait for it
	Decommission(ctx context.Context, sid string) error // it leaves for good: nothing of it is left
}

// Guest is a server that was not there before.
type Guest struct {
	SID      string
	NonVoter bool // it never votes
}

// Compactor has servers that take snapshots and forget the log before them.
type Compactor interface {
	Compact(sid string) error                      // soon; or they do it all the time anyway
	Snapshot(sid string) (index uint64, err error) // of the newest on its disk; 0: there is none
}
