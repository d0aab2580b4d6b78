package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	"github.com/pofresh/globalchannel/cluster"
	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/node/internal/delivery"
	"github.com/pofresh/globalchannel/node/internal/disk"
	"github.com/pofresh/globalchannel/node/internal/sim"
	"github.com/pofresh/globalchannel/transport"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// Node is one server of a cluster. It holds the parts together and delegates:
// each part is a small type of its own.
type Node struct {
	cfg         Config
	log         *slog.Logger
	incarnation string // of this process start
	nodeID      string // of the data directory

	store     *disk.Store
	port      *transport.Port
	replica   *fsm.Replica
	consensus *consensus
	cluster   *cluster.Cluster

	desk      *desk              // leader: batches into log entries
	committer *committer         // leader: lives into log entries
	life      *life              // this server's registered existence
	enroll    *enrollment        // asks the leader to begin and end lives
	outbox    *outbox            // operations on their way to the leader
	sessions  sessions           // connections of players to this server
	age       *age               // of the replica
	indexes   *readIndexes       // questions to the leader, how far the log is
	reader    *reader            // questions to the replica
	frontends *frontends         // who takes pushes here
	pusher    *pusher            // messages to the members of a channel
	pushes    *delivery.Receiver // those of other servers
	arrivals  *arrivals          // hands them to the frontends
	meters    *meters            // what happened here, for Prometheus
	presence  *presence          // who of the members here is online
	host      *host              // callbacks that nobody waits for
	agent     *agent             // frontends of other processes
	rollCall  *rollCall          // answers who is here
	auditor   *auditor           // hashes of the replica
	managed   *managed           // channels in the user's own store; nil: in the replica
	purger    *purger            // leader: lives that are over, out of that store; may be nil

	ctx    context.Context // of everything below; ends last but the stores
	cancel context.CancelCauseFunc
	group  sync.WaitGroup

	decommission decommissioning

	closing  atomic.Bool
	closed   chan struct{} // closed when Close is through; not a sync.Once, whose wait would stop the clock of a synctest bubble
	closeErr error         // written before closed is

	mu   sync.Mutex    // guards err
	err  error         // why done is closed
	done chan struct{} // closed when the node has ended
}

// Start opens the data directory, binds the port and returns without waiting for
// other servers; see Ready. ctx bounds only Start itself.
//
// Errors name the field of Config, the file or the address that is wrong.
func Start(ctx context.Context, c Config) (*Node, error) {
	if ctx.Err() != nil {
		return nil, ended(ctx)
	}
	cfg, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, log: cfg.Logger.With("sid", cfg.SID), incarnation: uuid.NewString(),
		replica: fsm.NewReplica(), meters: newMeters(), done: make(chan struct{}), closed: make(chan struct{}),
		decommission: decommissioning{turn: make(chan struct{}, 1), leaving: make(chan struct{})},
	}
	n.ctx, n.cancel = context.WithCancelCause(context.Background())
	if err := n.open(ctx); err != nil {
		n.closing.Store(true)
		down, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		return nil, errors.Join(err, n.release(down))
	}
	n.group.Go(func() { n.desk.run(n.ctx) })
	n.group.Go(n.lead)
	n.group.Go(n.live)
	n.group.Go(n.nudge)
	n.group.Go(n.watchSpace)
	n.group.Go(n.stepAside)
	n.group.Go(n.seek)
	n.group.Go(func() { n.auditor.run(n.ctx) })
	n.group.Go(n.rebuildWhenOffered)
	n.host.start(n.ctx)
	return n, nil
}

// open builds the parts from the ground up. On failure release takes down what is there.
func (n *Node) open(ctx context.Context) (err error) {
	if n.store, err = n.openDisk(ctx); err != nil {
		return err
	}
	n.nodeID = n.store.Identity.Load().NodeID
	// Gossip starts after Raft, which asks it for addresses from its first vote on.
	var gossip atomic.Pointer[cluster.Cluster]
	addrOf := func(nodeID string) (string, bool) {
		if c := gossip.Load(); c != nil {
			return c.AddrOf(nodeID)
		}
		return "", false
	}
	n.port, err = transport.Open(transport.Options{
		Network: n.cfg.Network, Listen: n.cfg.Listen, Advertise: n.cfg.Advertise, NodeID: n.nodeID,
		Secret: n.cfg.Secret, TLS: n.cfg.TLS, KnownNode: n.knownNode(addrOf), Logger: n.log,
	})
	if err != nil {
		return err
	}
	if n.consensus, err = startConsensus(n.nodeID, n.port, n.store, n.replica, addrOf, n.log); err != nil {
		return err
	}
	n.assemble()
	if n.cluster, err = n.openCluster(); err != nil {
		return err
	}
	gossip.Store(n.cluster)
	if err := n.managed.start(ctx); err != nil {
		return err
	}
	n.port.Serve(func(s grpc.ServiceRegistrar) {
		peerpb.RegisterPeerServer(s, &peerServer{node: n})
		n.RegisterAPI(s)
	})
	n.log.Info("listening", "addr", n.port.Addr(), "node_id", n.nodeID)
	return nil
}

func (n *Node) openDisk(ctx context.Context) (*disk.Store, error) {
	if n.cfg.DataDir == "" {
		return new(disk.Memory).Open(n.cfg.SID)
	}
	if m, ok := n.cfg.Network.(sim.Machine); ok {
		return m.OpenDisk(n.cfg.DataDir, n.cfg.SID)
	}
	return disk.Open(ctx, n.cfg.DataDir, n.cfg.SID, disk.LogStore(n.cfg.LogStore.String()), raftLogger(n.log))
}

// assemble makes the parts that need no opening.
func (n *Node) assemble() {
	others := peers{n.port}
	n.committer = &committer{consensus: n.consensus, replica: n.replica, probe: prober{others}.probe}
	n.desk = newDesk(n.committer.proposeBytes, n.replica.Level)
	route := &leaderRoute{nodeID: n.nodeID, consensus: n.consensus, local: &peerServer{node: n}, desk: n.desk, peers: others}
	n.enroll = &enrollment{route: route}
	n.life = newLife(Server{
		SID: n.cfg.SID, SType: n.cfg.SType, Zone: n.cfg.Zone,
		NodeID: n.nodeID, Incarnation: n.incarnation, Addr: n.port.Addr(),
	}, n.enroll)
	n.auditor = newAuditor(n.replica, n.consensus.fitness, n.log, n.consensus.snapshotSoon)
	n.age = new(age)
	n.outbox = newOutbox(n.cfg.SID, route, n.cfg.Timeout, n.age.note)
	n.outbox.settled = n.meters.answered
	n.outbox.over = n.life.toldOver
	n.presence, n.host = newPresence(n), newHost(n)
	n.managed = newManaged(n)
	n.purger = newPurger(n)
	n.committer.hold = n.purger.hold
	n.indexes = newReadIndexes(route, n.age)
	n.reader = &reader{
		node: n, replica: n.replica, trusted: n.consensus.fitness.distrusted, life: n.life, bound: n.bounded, known: route.known,
		indexes: n.indexes, age: n.age, refresh: newRefresher(n.indexes, n.age, n.replica.Index),
	}
	n.frontends = newFrontends(n)
	_ = n.frontends.put(n.cfg.SID, &frontend{incarnation: n.incarnation, epoch: n.life.reach, inbox: newInbox(n.cfg.OnPush, n.log)}) // the first: nobody holds it
	lists := new(rosters[cell, []string])
	found := &receivers{reader: n.reader, began: time.Now(), kept: lists}
	n.arrivals = &arrivals{node: n, local: n.frontends, receivers: found}
	n.pushes = delivery.NewReceiver(n.arrivals.accept, n.arrivals.alive)
	n.pusher = &pusher{node: n, aims: &aims{reader: n.reader, managed: n.managed, lists: lists}, local: n.frontends, receivers: found, links: delivery.NewLinks(n.cfg.SID, n.incarnation, others.client)}
	n.agent = newAgent(n, n.life, n.enroll, n.frontends, n.reader, n.outbox)
	n.outbox.attached = n.agent.knows
	if m, ok := n.cfg.Network.(sim.Machine); ok {
		m.Compactor(n.consensus.snapshotSoon)
	}
	n.rollCall = &rollCall{node: n, version: binaryVersion(), toldOver: n.life.toldOver}
}

func (n *Node) openCluster() (*cluster.Cluster, error) {
	settings, err := encodeSettings(n.cfg.Cluster)
	if err != nil {
		return nil, err
	}
	wire := n.port.Gossip()
	return cluster.Open(cluster.Options{
		Self: cluster.Member{
			NodeID: n.nodeID, Incarnation: n.incarnation, SID: n.cfg.SID, Addr: n.port.Addr(),
			ClusterID: n.store.Identity.Load().ClusterID, Expect: n.cfg.Expect,
		},
		Seeds: n.cfg.Join, Discover: n.cfg.Discover, Resolver: resolver(n.cfg.Network), Expect: n.cfg.Expect, Settings: settings,
		MaxVoters: func() int { return n.settings().MaxVoters }, Generation: n.generation,
		Packets: wire.Packets, Streams: wire.Streams, Dial: wire.Dial, GossipKey: n.port.GossipKey(),
		Identity: n.store.Identity, Consensus: electing{n.consensus, n.successors}, Peers: peers{n.port}, Logger: n.log,
		State: &leading{replica: n.replica, committer: n.committer, desk: n.desk}, Level: fsm.Version, Timers: n.timers, Answer: n.rollCall.local,
	})
}

// resolver is a network's own, nil if it has none: a test's names.
func resolver(network Network) cluster.Resolver {
	r, _ := network.(cluster.Resolver)
	return r
}

// knownNode is asked only with an own PKI, whose certificates do not say which
// node they belong to.
func (n *Node) knownNode(addrOf func(string) (string, bool)) func(string) bool {
	return func(nodeID string) bool {
		if _, ok := addrOf(nodeID); ok {
			return true
		}
		if n.consensus == nil {
			return false
		}
		servers, err := n.consensus.Configuration()
		for _, s := range servers {
			if err == nil && s.NodeID == nodeID {
				return true
			}
		}
		return false
	}
}

// Ready waits until this life is registered: from then on players may be accepted.
// ErrRefused: the sid is in use by another live server, or this data directory
// belongs to another cluster. With ErrLimit: as many servers are up as may be. It does not wait for the replica; reads do.
func (n *Node) Ready(ctx context.Context) error {
	if _, err := n.life.wait(ctx); err != nil {
		if problem := n.Status().Problem; problem != "" && ctx.Err() != nil {
			return fmt.Errorf("%w: %s", err, problem)
		}
		return err
	}
	if err := n.failure(); err != nil {
		return err
	}
	if n.closing.Load() {
		return ErrClosed
	}
	return nil
}

// Done is closed when the node has ended: closed or refused.
func (n *Node) Done() <-chan struct{} { return n.done }

// Err tells why Done is closed, or what failed; nil while healthy and after Close.
func (n *Node) Err() error {
	if err := n.failure(); err != nil {
		return err
	}
	if halted := n.replica.Halted(); halted != nil {
		return fmt.Errorf("%w: %w", ErrHalted, halted)
	}
	if err := n.consensus.fitness.distrusted(); err != nil {
		return err
	}
	return n.store.Guard.Err()
}

// failure is what ended this node's work: it was refused, or fenced. A halted
// replica has not; the node goes on for those that it serves.
func (n *Node) failure() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}

// fail ends the node's work: it was refused, or its life was declared over. The
// host still calls Close.
func (n *Node) fail(err error) {
	if n.closing.Load() {
		return
	}
	n.mu.Lock()
	first := n.err == nil
	if first {
		n.err = err
	}
	n.mu.Unlock()
	if !first {
		return
	}
	n.log.Error("node ended", "err", err)
	n.life.open(err)
	if errors.Is(err, ErrRejected) {
		n.outbox.refuse(err)
	} else {
		n.outbox.refuse(notSent(err))
	}
	n.end()
}

// end closes Done, once.
func (n *Node) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.done:
	default:
		close(n.done)
	}
}

// Self is this server. Its Epoch is 0 until Ready; a connector sends it along
// when a backend adds for it.
func (n *Node) Self() Server {
	s := n.life.server
	s.Epoch, _ = n.life.now()
	return s
}

// Index is what this node has seen acknowledged or applied. Carry it to another
// process and use AtLeast there.
func (n *Node) Index() uint64 { return n.reader.index() }

// bounded gives a call without a deadline Config.Timeout, and ends it with the node.
func (n *Node) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	cancelTimeout := context.CancelFunc(func() {})
	if _, ok := ctx.Deadline(); !ok {
		ctx, cancelTimeout = context.WithTimeout(ctx, n.cfg.Timeout)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(n.ctx, func() { cancel(ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
		cancelTimeout()
	}
}

// settings are the cluster's, or this server's own before it knows the cluster's.
func (n *Node) settings() Settings {
	var s Settings
	n.replica.Read(func(state fsm.Reads) {
		if state.ClusterID() == "" {
			s = n.cfg.Cluster
			return
		}
		s = settingsFromProto(state.Settings())
	})
	return s.withDefaults()
}

// closeTimeout is the longest that Close takes, goodbyeTimeout its share for what
// needs other servers.
const (
	closeTimeout   = 10 * time.Second
	goodbyeTimeout = 4 * time.Second
)
