package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	desertedFor = 10 * time.Second       // without a leader: long after the others have elected one
	stepSoon    = 250 * time.Millisecond // while this server is not settled in
	stepLater   = rejoinInterval
)

// Cluster is one server's view of who is there, and its own way in: found or
// join, then stay findable for ever.
type Cluster struct {
	self      Member
	identity  *ledger
	consensus Consensus
	gossip    *gossip
	seeds     *seeds
	founding  *founding
	joining   *joining
	admission *admission
	voting    *voting
	rollCall  *rollCall
	reaper    *reaper
	level     *level
	forgets   *forgetting
	logger    *slog.Logger

	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup

	admitted chan struct{} // closed under mu
	refused  chan struct{} // closed under mu
	poke     chan struct{} // one slot: something outside gossip has changed

	closed   chan struct{} // closed when Close is through
	closeErr error         // written before closed is

	mu      sync.Mutex // guards what follows
	problem string
	err     error
	closing bool
}

// Open starts gossip and, in the background, founding or joining. It waits for
// nobody.
func Open(o Options) (*Cluster, error) {
	if err := o.validate(); err != nil {
		return nil, errors.Join(err, o.closeSockets())
	}
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	o.Seeds = slices.Clone(o.Seeds)
	l, err := openLedger(o.Self.NodeID, o.Identity)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cluster: %w", err), o.closeSockets())
	}
	g, err := openGossip(o, l.current().ClusterID, log)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return start(o, l, g, log), nil
}

func start(o Options, l *ledger, g *gossip, log *slog.Logger) *Cluster {
	c := &Cluster{
		self: o.Self, identity: l, consensus: o.Consensus, gossip: g, logger: log,
		admitted: make(chan struct{}), refused: make(chan struct{}), poke: make(chan struct{}, 1),
		closed: make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	l.ended = c.ctx.Done()
	turn := make(chan struct{}, 1)
	urgent := func() bool { return !c.isAdmitted() }
	s := newSeeds(o, g.dir, g.join, urgent, log)
	c.seeds = s
	c.founding = newFounding(o, l, g.dir.members, s.contacted.Load, log)
	c.admission = &admission{self: o.Self, generation: o.Generation, ledger: l, consensus: o.Consensus, peers: o.Peers, state: o.State, names: namer{o.State.Lives, g.dir.sid}, level: o.Level, logger: log, turn: turn}
	c.rollCall = newRollCall(o, l, g.dir.members)
	c.reaper = &reaper{
		state: o.State, heard: c.rollCall.hearing, members: g.dir.members,
		reapAfter: func() time.Duration { return o.Timers().ReapAfter }, logger: log,
	}
	c.voting = newVoting(o, l, g.dir, c.rollCall.answers, turn, log)
	c.level = &level{consensus: o.Consensus, state: o.State, roll: c.rollCall, own: o.Level, turn: turn, logger: log}
	c.forgets = &forgetting{state: o.State, forgetAfter: func() time.Duration { return o.Timers().ForgetAfter }, logger: log}
	c.joining = &joining{
		self: o.Self, ledger: l, generation: o.Generation, level: o.Level, consensus: o.Consensus, peers: o.Peers, members: g.dir.members, local: c.admission.handle,
		seeds: s.strangers,
	}
	if c.isServer() && !c.joining.unsure() {
		c.admit()
	}
	c.group.Go(func() { s.run(c.ctx, urgent, c.wake) })
	c.group.Go(c.run)
	return c
}

// run founds or joins, then keeps founding's loose ends tied until Close.
func (c *Cluster) run() {
	asked := false
	var nextAsk time.Time
	led := time.Now() // when a leader was last known
	for {
		changed := c.gossip.dir.changes()
		problem := c.founding.step(c.ctx)
		id := c.identity.current().ClusterID
		if id != "" {
			if err := c.gossip.announce(id); err != nil {
				problem = err.Error()
			}
			if problem == "" && c.isServer() && !c.joining.unsure() {
				c.admit()
			}
			if leader, _ := c.consensus.Leader(); leader != "" {
				led = time.Now()
			}
			// Who was taken out of the configuration while it was away is told nothing.
			deserted := time.Since(led) > desertedFor
			if (!asked || deserted) && !time.Now().Before(nextAsk) && !(c.joining.unsure() && !c.seeds.asked.Load()) {
				err := c.joining.attempt(c.ctx, id)
				nextAsk = time.Now().Add(joinInterval)
				if final := (errRefused{}); errors.As(err, &final) {
					c.refuse(final)
					return
				} else if err != nil && problem == "" {
					problem = "asking to join cluster " + id + ": " + err.Error()
				} else if err == nil {
					asked = true
					c.admit()
				}
			}
		}
		c.report(problem)
		if !c.pause(changed, asked) {
			return
		}
	}
}

// pause waits for something to happen; false once the Cluster is closing.
func (c *Cluster) pause(changed <-chan struct{}, settled bool) bool {
	wait := stepSoon
	if settled {
		wait = stepLater
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-changed:
	case <-c.poke:
	case <-t.C:
	case <-c.ctx.Done():
	}
	return c.ctx.Err() == nil
}

func (c *Cluster) wake() {
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

// isServer: this node is one of the Raft configuration.
func (c *Cluster) isServer() bool {
	servers, err := c.consensus.Configuration()
	return err == nil && slices.ContainsFunc(servers, func(s Server) bool { return s.NodeID == c.self.NodeID })
}

func (c *Cluster) isAdmitted() bool {
	select {
	case <-c.admitted:
		return true
	default:
		return false
	}
}

func (c *Cluster) admit() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isAdmitted() {
		close(c.admitted)
		c.logger.Info("admitted to the cluster", "node_id", c.self.NodeID, "addr", c.self.Addr)
	}
}

func (c *Cluster) refuse(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err, c.problem = err, err.Error()
	close(c.refused)
	c.logger.Warn("refused by the cluster", "reason", err)
}

// report keeps the words for Problem. Who is admitted only asks to have its
// address known; that is no problem to speak of, unless all it finds is another cluster.
func (c *Cluster) report(problem string) {
	if c.isAdmitted() {
		problem = c.joining.stray
	} else if p := c.seeds.problem(); p != "" {
		problem = strings.TrimPrefix(problem+"; "+p, "; ")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if problem != c.problem && problem != "" {
		c.logger.Debug("not in a cluster yet", "problem", problem)
	}
	c.problem = problem
}

// Members are copies of what gossip holds to be alive, this server included,
// sorted by node id. Of two processes under one node id only the newer is shown.
func (c *Cluster) Members() []Member { return c.gossip.dir.members() }

// Changed is closed at the next change of Members. Ask for it first, then look.
func (c *Cluster) Changed() <-chan struct{} { return c.gossip.dir.changes() }

// AddrOf is the newest gossip address of a node id.
func (c *Cluster) AddrOf(nodeID string) (string, bool) { return c.gossip.dir.addrOf(nodeID) }

// Rejections counts what gossip brought and was refused.
func (c *Cluster) Rejections() Rejections { return c.gossip.dir.rejections() }

// Admitted is closed once this node is in the configuration: it was at the
// start, has founded, or its join was answered.
func (c *Cluster) Admitted() <-chan struct{} { return c.admitted }

// Refused is closed when asking on would not help; Err then says why.
func (c *Cluster) Refused() <-chan struct{} { return c.refused }

// Err is nil unless Refused is closed.
func (c *Cluster) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Problem says in words what this server waits for, "" if for nothing.
func (c *Cluster) Problem() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.problem
}

// HandlePromise answers a proposer: nil is a durable promise, or a durable
// release of one. Safe to call concurrently and repeatedly.
func (c *Cluster) HandlePromise(ctx context.Context, p Proposal, release bool) error {
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx) // nobody waits for the answer: do not bind this server for nothing
	}
	defer c.wake()
	return c.founding.handle(p, release)
}

// HandleJoin answers a joiner, on any node: one that does not lead names the
// leader. It returns once the configuration has changed or ctx has ended.
func (c *Cluster) HandleJoin(ctx context.Context, r JoinRequest) JoinReply {
	if c.ctx.Err() != nil {
		return JoinReply{Reason: "this server is closing"}
	}
	return c.admission.handle(ctx, r)
}

// Lead does a leader's duties until ctx ends or the Cluster closes.
func (c *Cluster) Lead(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	var duties sync.WaitGroup
	defer duties.Wait()
	duties.Go(func() { c.rollCall.lead(ctx) })
	duties.Go(func() { c.reaper.lead(ctx) })
	duties.Go(func() { c.level.lead(ctx) })
	duties.Go(func() { c.forgets.lead(ctx) })
	duties.Go(func() { c.voting.lead(ctx) })
}

// Answers are what the processes said last, by node id, since this node leads; none
// while it does not. At says how long ago that was.
func (c *Cluster) Answers() map[string]Answer { return c.rollCall.answers() }

// Leave tells the others that this process goes, which is quicker than its
// being missed. It changes no configuration. Two seconds at most.
func (c *Cluster) Leave(ctx context.Context) error { return c.gossip.leave(ctx) }

// Close ends everything; it takes up to two seconds if a probe of a dead server
// is under way. Calls under way end first where they must: the loops see their
// context end, gossip's close cuts the streams that rejoining waits for. A Discover
// that does not return is given two seconds more, and is in the error.
func (c *Cluster) Close() error {
	c.mu.Lock()
	first := !c.closing
	c.closing = true
	c.mu.Unlock()
	if !first {
		<-c.closed
		return c.closeErr
	}
	c.cancel()
	c.closeErr = c.gossip.close()
	c.group.Wait()
	c.closeErr = errors.Join(c.closeErr, c.seeds.drain())
	close(c.closed)
	return c.closeErr
}
