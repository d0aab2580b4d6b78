package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	wal "github.com/hashicorp/raft-wal"
	bolt "go.etcd.io/bbolt"

	"github.com/pofresh/globalchannel/cmd/bench/internal/load"
	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
)

// What package node sets too: timeouts, the time after which followers learn of a
// commit, and the log cache. All else is the library's default.
const (
	raftHeartbeat   = 700 * time.Millisecond
	raftLease       = 350 * time.Millisecond
	raftCommit      = 2 * time.Millisecond
	raftCached      = 512
	raftPool        = 3
	raftIOTimeout   = 3 * time.Second
	raftEnqueue     = 5 * time.Second
	raftCommandSize = 40
)

// bareRaft is Raft with nothing on top.
type bareRaft struct {
	*raft.Raft
	id    raft.ServerID
	store io.Closer
}

type durableLog interface {
	raft.LogStore
	raft.StableStore
	io.Closer
}

func (c *child) openRaft(ctx context.Context, o Raft) (proc.None, error) {
	r, err := startRaft(o)
	if err != nil {
		return proc.None{}, fmt.Errorf("start raft: %w", err)
	}
	for r.look().Leader == "" {
		if ctx.Err() != nil {
			return proc.None{}, errors.Join(fmt.Errorf("no leader: %w", context.Cause(ctx)), r.close())
		}
		wait(ctx, 10*time.Millisecond)
	}
	if err := c.open(r); err != nil {
		return proc.None{}, errors.Join(err, r.close())
	}
	return proc.None{}, nil
}

func startRaft(o Raft) (*bareRaft, error) {
	quiet := hclog.NewNullLogger()
	store, err := openRaftLog(o, quiet)
	if err != nil {
		return nil, err
	}
	cache, err := raft.NewLogCache(raftCached, store)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	wire, err := raft.NewTCPTransportWithLogger(o.Addr, nil, raftPool, raftIOTimeout, quiet)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	conf := raft.DefaultConfig()
	conf.LocalID, conf.Logger = raft.ServerID(o.Addr), quiet
	conf.HeartbeatTimeout, conf.ElectionTimeout, conf.LeaderLeaseTimeout = raftHeartbeat, raftHeartbeat, raftLease
	conf.CommitTimeout = raftCommit
	var all raft.Configuration
	for _, addr := range o.Servers {
		all.Servers = append(all.Servers, raft.Server{ID: raft.ServerID(addr), Address: raft.ServerAddress(addr)})
	}
	snapshots := raft.NewDiscardSnapshotStore()
	err = raft.BootstrapCluster(conf, cache, store, snapshots, wire, all)
	var r *raft.Raft
	if err == nil {
		r, err = raft.NewRaft(conf, nothing{}, cache, store, snapshots, wire)
	}
	if err != nil {
		return nil, errors.Join(err, wire.Close(), store.Close())
	}
	return &bareRaft{Raft: r, id: conf.LocalID, store: store}, nil
}

// openRaftLog opens a store with the options that package node gives it.
func openRaftLog(o Raft, quiet hclog.Logger) (durableLog, error) {
	switch o.Store {
	case "boltdb":
		return raftboltdb.New(raftboltdb.Options{
			Path:                    filepath.Join(o.DataDir, "raft.db"),
			BoltOptions:             &bolt.Options{NoFreelistSync: true, FreelistType: bolt.FreelistMapType},
			MsgpackUseNewTimeFormat: true,
		})
	case "wal":
		return wal.Open(o.DataDir, wal.WithLogger(quiet))
	}
	return nil, fmt.Errorf("log store %q is neither boltdb nor wal", o.Store)
}

func (r *bareRaft) fill(context.Context) error { return nil }

// step is one entry for each call.
func (r *bareRaft) step(l Load) (func(caller int) load.Step, error) {
	if l.Group > 0 {
		return nil, errors.New("bare Raft has no groups")
	}
	return func(int) load.Step {
		command := make([]byte, raftCommandSize)
		return func(context.Context) (int, error) {
			if err := r.Apply(command, raftEnqueue).Error(); err != nil {
				return 0, err
			}
			return 1, nil
		}
	}, nil
}

func (r *bareRaft) look() View {
	_, leader := r.LeaderWithID()
	return View{Leads: leader == r.id, Leader: string(leader), Term: r.CurrentTerm(), Index: r.LastIndex()}
}

func (r *bareRaft) foreignCPU(context.Context) (time.Duration, error) { return 0, nil }

func (r *bareRaft) close() error { return errors.Join(r.Shutdown().Error(), r.store.Close()) }

// nothing is a state machine without a state.
type nothing struct{}

// Apply implements raft.FSM.
func (nothing) Apply(*raft.Log) any { return nil }

// Snapshot implements raft.FSM.
func (nothing) Snapshot() (raft.FSMSnapshot, error) { return nothing{}, nil }

// Restore implements raft.FSM.
func (nothing) Restore(r io.ReadCloser) error { return r.Close() }

// Persist implements raft.FSMSnapshot.
func (nothing) Persist(s raft.SnapshotSink) error { return s.Close() }

// Release implements raft.FSMSnapshot.
func (nothing) Release() {}
