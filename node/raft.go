package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/cluster"
	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/node/internal/disk"
	"github.com/pofresh/globalchannel/transport"
)

// Raft's values, in one place. Measured on raft v1.7.3 with serial heartbeats
// (see transport.QuietRaft): from a crash to the next acknowledged write takes
// 2.0 times the heartbeat timeout in the median and 2.9 times at p99.
const (
	heartbeatTimeout = 700 * time.Millisecond
	// Heartbeats wait behind fsync: writing without a pause, disks that take 340 ms
	// for each cost no election, 400 ms cost the leadership (with a lease of 600 ms
	// they did not). Bounded from above by what transport's idle answers need.
	leaseTimeout = 350 * time.Millisecond
	// Followers learn of a commit with the next AppendEntries, after one to two of
	// these; in the median 3.6, 5.5, 6.9, 8.5 ms after the leader's answer with 2, 3,
	// 4, 5 ms, 72 ms with Raft's default of 50 ms. The goal is 10 ms at p99, for which
	// 3 ms left too little room on a busy machine. It costs nothing where nothing is
	// written: questions then rest with the transport.Courier.
	commitTimeout = 2 * time.Millisecond
	// A follower that lacks 5,000 small entries needs 20 round trips and fsyncs; with
	// 64 it is 79, with 16 it is 313 (on loopback, in memory, 22-28 ms, 23-37 ms,
	// 49-56 ms). Cut off for 60 s under 100 writes/s (as below) it held the log again
	// 0.34-0.36 s after the heal, with 64 after 0.9-1.5 s. The Courier bounds a
	// request's bytes, behind which heartbeats wait.
	maxAppendEntries  = 256
	snapshotInterval  = 30 * time.Second
	snapshotThreshold = 8192  // entries; see compaction for bytes
	trailingLogs      = 10240 // for followers that lag; what the older snapshot needs is left anyway, see disk
	// What a call may take on a slow disk. It does not delay a follower that comes
	// back: the Courier cuts what hangs. Cut off for 1 to 30 s under 100 writes/s
	// (network namespaces, TLS, a busy machine) one held the log again after 0.1 to
	// 0.9 s; without the Courier it took up to 3.1 s.
	raftIOTimeout = 3 * time.Second
	raftPool      = 3
	// No pipelining: sequential writes in memory take 0.27-0.35 ms, and took 0.29 ms
	// with two in flight.
	rpcsInFlight   = 1
	enqueueTimeout = time.Second
	configTimeout  = 5 * time.Second
	handOverPause  = 20 * time.Millisecond
	answerLast     = 300 * time.Millisecond // what Raft may take at the end for one step
)

// consensus is the one place that talks to Raft: every future is waited for here,
// under a deadline, because Raft may never resolve one (raft#145, raft#498).
type consensus struct {
	raft      *raft.Raft
	started   atomic.Pointer[raft.Raft] // raft, for those that run before NewRaft has returned
	port      *transport.Port
	transport *raft.NetworkTransport
	courier   *transport.Courier   // over transport
	reluctant *transport.Reluctant // over courier
	guard     *disk.Guard
	fitness   *fitness
	begun     time.Time
	log       *slog.Logger

	compaction compaction
	changing   chan struct{} // one slot: Raft has a change of the configuration to make

	mu        sync.Mutex    // guards what follows, up to closed
	changed   chan struct{} // closed at the next change of leadership, anybody's
	leads     bool          // as Raft says
	silent    bool          // Raft's traffic is not served, see disk.Guard: Raft knows nothing of what happens
	elsewhere leaderAddress // who leads, as others say; kept only while silent
	closed    bool

	pending  sync.WaitGroup // proposals that Raft has not answered
	watchers sync.WaitGroup // the goroutines below
	observer *raft.Observer
	stop     chan struct{}
}

func startConsensus(nodeID string, port *transport.Port, store *disk.Store, replica *fsm.Replica, addrOf func(string) (string, bool), log *slog.Logger) (*consensus, error) {
	logger := raftLogger(log)
	c := &consensus{
		log: log, port: port, guard: store.Guard, fitness: &fitness{guard: store.Guard, halted: replica.Halted}, begun: time.Now(),
		changed: make(chan struct{}), stop: make(chan struct{}), changing: make(chan struct{}, 1),
	}
	newest := &addresses{gossip: addrOf, raft: &c.started}
	c.transport = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: port.Raft(), MaxPool: raftPool, MaxRPCsInFlight: rpcsInFlight, Timeout: raftIOTimeout, Logger: logger,
		ServerAddressProvider: newest,
	})
	c.courier = transport.NewCourier(c.transport, reach{port: port, addresses: newest})
	c.reluctant = transport.NewReluctant(c.courier, c.stands)
	notify := make(chan bool)
	conf := raft.DefaultConfig()
	conf.LocalID = raft.ServerID(nodeID)
	conf.HeartbeatTimeout, conf.ElectionTimeout, conf.LeaderLeaseTimeout = heartbeatTimeout, heartbeatTimeout, leaseTimeout
	conf.CommitTimeout, conf.MaxAppendEntries = commitTimeout, maxAppendEntries
	conf.SnapshotInterval, conf.SnapshotThreshold, conf.TrailingLogs = snapshotInterval, snapshotThreshold, trailingLogs
	conf.ShutdownOnRemove = false // the host lives on, as a forwarding frontend
	conf.NotifyCh, conf.Logger = notify, logger

	step := int64(memoryLogStep)
	if store.Durable {
		step = diskLogStep
	}
	entries := countLog(store.Log, step)
	var err error
	c.raft, err = restored(func() (*raft.Raft, error) {
		wire := starting{transport.QuietRaft(c.reluctant).(transport.RaftTransport), func() { c.guard.Arm(c.serve) }}
		return raft.NewRaft(conf, replica, toldLog{entries, c.courier.Grown}, store.Stable, store.Snapshots, wire)
	})
	if err != nil {
		c.reluctant.End()
		return nil, errors.Join(store.Unusable(fmt.Errorf("start raft: %w", err)), c.transport.Close())
	}
	c.started.Store(c.raft)
	seen := make(chan raft.Observation, 8)
	c.observer = raft.NewObserver(seen, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	})
	c.raft.RegisterObserver(c.observer)
	c.watchers.Go(func() { c.watch(notify, seen) })
	c.compaction = compaction{raft: c.raft, log: entries, snapshots: store.Snapshots, missing: store.Missing, least: step}
	c.watchers.Go(func() { c.compaction.run(c.stop) })
	return c, nil
}

// starting is told when Raft has read all that it needs, and is about to begin. Up to
// then an error of the disk refuses the start, from then on it would be a panic.
type starting struct {
	transport.RaftTransport
	begins func()
}

// SetHeartbeatHandler implements raft.Transport; see transport.QuietRaft.
func (s starting) SetHeartbeatHandler(func(raft.RPC)) { s.begins() }

// restored makes an error of a panic. Raft falls back to an older snapshot when it
// cannot read the newest, and panics over the first entry that it then lacks. It has
// started nothing by then.
func restored(start func() (*raft.Raft, error)) (r *raft.Raft, err error) {
	defer func() {
		p := recover()
		if cause, ok := p.(error); ok && errors.Is(cause, raft.ErrLogNotFound) {
			err = fmt.Errorf("the log does not reach back to the newest snapshot that can be read: %w", cause)
		} else if p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return start()
}

// disposition is what is known about a proposal.
type disposition uint8

const (
	dispositionUnknown      disposition = iota // may have been, or may yet be, committed
	dispositionApplied                         // the state machine answered
	dispositionNotSubmitted                    // never entered the log
)

// propose commits an encoded entry and waits until this node has applied it.
func (c *consensus) propose(ctx context.Context, entry []byte) (fsm.Result, disposition, error) {
	if ctx.Err() != nil {
		return fsm.Result{}, dispositionNotSubmitted, ended(ctx)
	}
	if !c.begin() {
		return fsm.Result{}, dispositionNotSubmitted, ErrClosed
	}
	type outcome struct {
		result fsm.Result
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		defer c.pending.Done()
		f := c.raft.Apply(entry, enqueueTimeout)
		if err := f.Error(); err != nil {
			done <- outcome{err: err}
			return
		}
		result, _ := f.Response().(fsm.Result)
		done <- outcome{result: result}
	}()
	select {
	case o := <-done:
		return o.result, dispositionOf(o.err), o.err
	case <-ctx.Done():
		return fsm.Result{}, dispositionUnknown, ended(ctx)
	}
}

// begin counts a proposal in, unless the node is closing.
func (c *consensus) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.pending.Add(1)
	return true
}

// dispositionOf sorts Raft's errors. Those of the first kind are given before
// the entry is appended; everything else, a shutdown too, may come after.
func dispositionOf(err error) disposition {
	switch {
	case err == nil:
		return dispositionApplied
	case errors.Is(err, cluster.ErrConfigurationChanged), errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrEnqueueTimeout), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return dispositionNotSubmitted
	default:
		return dispositionUnknown
	}
}

// Bootstrap founds the Raft group. Having been bootstrapped before is success:
// the founder may have stopped before it could record that it was.
func (c *consensus) Bootstrap(ctx context.Context, servers []cluster.Server) error {
	var conf raft.Configuration
	for _, s := range servers {
		conf.Servers = append(conf.Servers, raft.Server{
			Suffrage: suffrage(s.Voter), ID: raft.ServerID(s.NodeID), Address: transport.RaftAddress(s.NodeID, s.Addr),
		})
	}
	err := c.await(ctx, func() raft.Future { return untilShutdown(c.raft.BootstrapCluster(conf), c.stop) })
	if errors.Is(err, raft.ErrCantBootstrap) {
		return nil
	}
	return err
}

// Configuration returns the latest configuration, committed or not.
func (c *consensus) Configuration() (servers []cluster.Server, err error) {
	f := c.raft.GetConfiguration() // answered from memory
	if err := f.Error(); err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	for _, s := range f.Configuration().Servers {
		_, addr := transport.SplitRaftAddress(s.Address)
		servers = append(servers, cluster.Server{NodeID: string(s.ID), Addr: addr, Voter: s.Suffrage == raft.Voter})
	}
	return servers, nil
}

// AddNonvoter adds a replica, or updates its address.
func (c *consensus) AddNonvoter(ctx context.Context, s cluster.Server, on []cluster.Server) error {
	return c.reconfigure(ctx, "add replica", on, func() raft.Future {
		return c.raft.AddNonvoter(raft.ServerID(s.NodeID), transport.RaftAddress(s.NodeID, s.Addr), 0, configTimeout)
	})
}

// AddVoter gives a server a vote, or updates its address.
func (c *consensus) AddVoter(ctx context.Context, s cluster.Server, on []cluster.Server) error {
	return c.reconfigure(ctx, "add voter", on, func() raft.Future {
		return c.raft.AddVoter(raft.ServerID(s.NodeID), transport.RaftAddress(s.NodeID, s.Addr), 0, configTimeout)
	})
}

// Remove takes a server out of the configuration.
func (c *consensus) Remove(ctx context.Context, nodeID string, on []cluster.Server) error {
	return c.reconfigure(ctx, "remove server", on, func() raft.Future {
		return c.raft.RemoveServer(raft.ServerID(nodeID), 0, configTimeout)
	})
}

// reconfigure makes a change to the configuration that it was decided on, and to no
// other. The next one begins only when Raft is through with this one, also if nobody
// waits for that any more: until then the configuration does not show it.
//
// Raft's own prevIndex is of no use: GetConfiguration tells no index (v1.7.3: always 0,
// which means any).
func (c *consensus) reconfigure(ctx context.Context, verb string, on []cluster.Server, start func() raft.Future) error {
	select {
	case c.changing <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%s: %w: an earlier change is under way: %w", verb, cluster.ErrConfigurationChanged, ended(ctx))
	}
	if now, err := c.Configuration(); err != nil || !slices.Equal(now, on) {
		<-c.changing
		return fmt.Errorf("%s: %w", verb, errors.Join(cluster.ErrConfigurationChanged, err))
	}
	if err := c.await(ctx, func() raft.Future { return changing{start(), c.changing} }); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return nil
}

// changing is a change of the configuration; the turn is over with it.
type changing struct {
	raft.Future
	turn <-chan struct{}
}

// Error implements raft.Future. It is asked once.
func (c changing) Error() error {
	defer func() { <-c.turn }()
	return c.Future.Error()
}

// await waits for a future until ctx ends.
func (c *consensus) await(ctx context.Context, start func() raft.Future) error {
	if !c.begin() {
		return ErrClosed
	}
	done := make(chan error, 1)
	go func() {
		defer c.pending.Done()
		done <- start().Error()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ended(ctx)
	}
}

// LastIndex is the last index of this node's log.
func (c *consensus) LastIndex() uint64 { return c.raft.LastIndex() }

// last is the last index of this node's log, and the term of the entry there: what
// elections compare.
func (c *consensus) last() (index, term uint64) {
	stats := c.raft.Stats() // the only way to the term
	number := func(name string) uint64 {
		n, _ := strconv.ParseUint(stats[name], 10, 64)
		return n
	}
	if snapshot := number("last_snapshot_index"); snapshot > number("last_log_index") {
		return snapshot, number("last_snapshot_term")
	}
	return number("last_log_index"), number("last_log_term")
}

func (c *consensus) committed() uint64 { return c.raft.CommitIndex() }

func (c *consensus) term() uint64 { return c.raft.CurrentTerm() }

// await returns false if ctx ended first.
func await(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// addresses finds a server at its newest address, so that a cluster whose
// machines all came back elsewhere can still elect a leader. What gossip does
// not know is dialled where the configuration says.
type addresses struct {
	gossip func(nodeID string) (string, bool)
	raft   *atomic.Pointer[raft.Raft]
}

// ServerAddr implements raft.ServerAddressProvider.
func (a *addresses) ServerAddr(id raft.ServerID) (raft.ServerAddress, error) {
	if addr, ok := a.gossip(string(id)); ok {
		return transport.RaftAddress(string(id), addr), nil
	}
	if r := a.raft.Load(); r != nil {
		for _, s := range r.GetConfiguration().Configuration().Servers {
			if s.ID == id {
				return s.Address, nil
			}
		}
	}
	return "", fmt.Errorf("no address of %s is known", id)
}

func suffrage(voter bool) raft.ServerSuffrage {
	if voter {
		return raft.Voter
	}
	return raft.Nonvoter
}
