package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/nemesis"
	"github.com/pofresh/globalchannel/jepsen_like_test/workload"
	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
	"github.com/pofresh/globalchannel/transport"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// Options of a cluster.
type Options struct {
	Voters, NonVoters int
	Settings          node.Settings
	Seed              uint64        // what servers do by chance follows from it
	Latency           time.Duration // of the network, one way; 0 is that of one data centre
	Presence          bool          // servers are asked who is online
	History           *history.Recorder
}

// Cluster is servers v1, v2... that found it and r1, r2... that never vote. Its methods
// are for the bubble's first goroutine; servers may be used by any.
type Cluster struct {
	t       testing.TB
	fleet   *nodetest.Fleet
	history *history.Recorder
	seed    uint64
	clients transport.Network // a machine outside of the cluster

	presence bool

	voters, nonVoters []string
	servers           map[string]*Server // never changes, once the cluster is made
	guests            map[string]*Server // that joined since, also those that have left
	dark              map[string]bool    // whose power is cut
}

var (
	_ nemesis.Cluster   = (*Cluster)(nil)
	_ nemesis.Mover     = (*Cluster)(nil)
	_ nemesis.Joiner    = (*Cluster)(nil)
	_ nemesis.Compactor = (*Cluster)(nil)
	_ nemesis.Prompt    = (*Cluster)(nil)
)

// New starts all servers and does not wait for them. It is called inside a bubble.
func New(t testing.TB, o Options) *Cluster {
	c := &Cluster{t: t, history: o.History, seed: o.Seed, presence: o.Presence, servers: make(map[string]*Server), guests: make(map[string]*Server), dark: make(map[string]bool)}
	begun := make(map[string]*process)
	var cfgs []node.Config
	for i := range o.Voters {
		c.voters = append(c.voters, fmt.Sprintf("v%d", i+1))
	}
	for i := range o.NonVoters {
		c.nonVoters = append(c.nonVoters, fmt.Sprintf("r%d", i+1))
	}
	for _, sid := range slices.Concat(c.voters, c.nonVoters) {
		s := newServer(c, node.Config{
			SID: sid, SType: workload.SType, NonVoter: slices.Contains(c.nonVoters, sid), Cluster: o.Settings,
		})
		s.cfg.Expect = 0
		if !s.cfg.NonVoter {
			s.cfg.Expect = o.Voters
		}
		c.servers[sid] = s
		var cfg node.Config
		begun[sid], cfg = s.begin()
		cfgs = append(cfgs, cfg)
	}
	c.fleet = nodetest.Cluster(t, cfgs...)
	c.fleet.SetLatency(cmp.Or(o.Latency, latency))
	c.fleet.SetSeed(o.Seed)
	c.clients = c.fleet.Network()
	t.Cleanup(c.hangUp) // before the fleet ends
	for _, sid := range c.everybody() {
		c.servers[sid].runs(begun[sid], c.fleet.Node(sid), c.fleet.Address(sid))
	}
	return c
}

// latency is that of a network within one data centre, one way.
const latency = 500 * time.Microsecond

// Voters implements nemesis.Cluster.
func (c *Cluster) Voters() []string { return c.voters }

// NonVoters implements nemesis.Cluster.
func (c *Cluster) NonVoters() []string { return c.nonVoters }

func (c *Cluster) everybody() []string { return slices.Concat(c.voters, c.nonVoters) }

func (c *Cluster) server(sid string) *Server {
	if s := c.guests[sid]; s != nil {
		return s
	}
	return c.servers[sid]
}

// Target implements trial.Cluster.
func (c *Cluster) Target(sid string) workload.Server { return c.servers[sid] }

// Status implements nemesis.Cluster. It asks the node itself, which is what most of a
// run's questions are: over gRPC they would cost more than the load.
func (c *Cluster) Status(_ context.Context, sid string) (*pb.StatusResponse, error) {
	n := c.server(sid).running()
	if n == nil {
		return nil, fmt.Errorf("%s does not run", sid)
	}
	st := n.Status()
	return &pb.StatusResponse{
		Sid: st.SID, Stype: st.SType, NodeId: st.NodeID, Role: st.Role, Voters: uint32(st.Voters), Leader: st.Leader, Term: st.Term, Applied: st.Applied,
		Ready: st.Ready, Problem: st.Problem, Addr: st.Addr, Epoch: st.Epoch,
	}, nil
}

// Transfer implements nemesis.Cluster.
func (c *Cluster) Transfer(ctx context.Context, leader string) error {
	client, err := c.client(ctx, leader)
	if err != nil {
		return err
	}
	c.fault(leader, "gives leadership away")
	_, err = client.TransferLeader(ctx, &pb.TransferLeaderRequest{})
	return err
}

func (c *Cluster) client(ctx context.Context, sid string) (pb.GlobalChannelClient, error) {
	s := c.server(sid)
	if err := s.Connect(ctx); err != nil {
		return nil, err
	}
	return s.Client()
}

// Kill implements nemesis.Cluster.
func (c *Cluster) Kill(sids ...string) error {
	for _, sid := range sids {
		c.fault(sid, "killed")
	}
	c.fleet.Kill(sids...)
	for _, sid := range sids {
		c.server(sid).died()
	}
	return nil
}

// Start implements nemesis.Cluster.
func (c *Cluster) Start(ctx context.Context, sids ...string) error {
	for _, sid := range sids {
		if c.dark[sid] {
			c.fleet.PowerOn(sid)
			delete(c.dark, sid)
		}
		s := c.server(sid)
		p, cfg := s.begin()
		n, err := c.fleet.TryRestartWith(sid, cfg)
		if err != nil {
			return fmt.Errorf("start %s: %w", sid, err)
		}
		s.runs(p, n, c.fleet.Address(sid))
	}
	return nil
}

// Ready implements nemesis.Cluster.
func (c *Cluster) Ready(ctx context.Context, sids ...string) error {
	for _, sid := range sids {
		n := c.fleet.Node(sid)
		if err := n.Ready(ctx); err != nil {
			return fmt.Errorf("%s is not ready: %w: %s", sid, err, n.Status().Problem)
		}
		c.server(sid).lives()
	}
	return nil
}

// End implements nemesis.Cluster.
func (c *Cluster) End(ctx context.Context, sids ...string) error {
	var errs []error
	for _, sid := range sids {
		c.fault(sid, "asked to end")
		errs = append(errs, c.fleet.Node(sid).Close())
		c.server(sid).died()
	}
	return errors.Join(errs...)
}

// Move implements nemesis.Mover.
func (c *Cluster) Move(_ context.Context, sid string) error {
	c.fault(sid, "moves to another address")
	s := c.servers[sid]
	p, cfg := s.begin()
	n := c.fleet.Move(sid, cfg)
	s.runs(p, n, c.fleet.Address(sid))
	return nil
}

// Join implements nemesis.Joiner. No workload uses the server.
func (c *Cluster) Join(_ context.Context, g nemesis.Guest) error {
	c.fault(g.SID, "joins")
	s := newServer(c, node.Config{SID: g.SID, SType: workload.SType, NonVoter: g.NonVoter})
	c.guests[g.SID] = s
	p, cfg := s.begin()
	n := c.fleet.Start(cfg)
	s.runs(p, n, c.fleet.Address(g.SID))
	return nil
}

// Decommission implements nemesis.Joiner.
func (c *Cluster) Decommission(ctx context.Context, sid string) error {
	c.fault(sid, "leaves for good")
	err := c.fleet.Node(sid).Decommission(ctx)
	c.guests[sid].died()
	return err
}

// Compact implements nemesis.Compactor.
func (c *Cluster) Compact(sid string) error {
	c.fault(sid, "takes a snapshot")
	c.fleet.Compact(sid)
	return nil
}

// Snapshot implements nemesis.Compactor.
func (c *Cluster) Snapshot(sid string) (index uint64, err error) { return c.fleet.Snapshot(sid), nil }

// Observe notes now and then which lives a server shows, until ctx ends.
func (c *Cluster) Observe(ctx context.Context) {
	rnd := rand.New(rand.NewPCG(c.seed, 2))
	for all := c.everybody(); ctx.Err() == nil; pause(ctx, observed) {
		s := c.servers[all[rnd.IntN(len(all))]]
		n := s.running()
		if n == nil {
			continue
		}
		c.list(n)
	}
}

// Prompt implements nemesis.Prompt.
func (c *Cluster) Prompt() {}

// Lives implements nemesis.Cluster.
func (c *Cluster) Lives(_ context.Context, via string) (map[string]uint64, error) {
	n := c.server(via).running()
	if n == nil {
		return nil, fmt.Errorf("%s does not run", via)
	}
	return c.list(n), nil
}

// list notes which lives a server shows.
func (c *Cluster) list(n *node.Node) (lives map[string]uint64) {
	index := n.Status().Applied // before: they are of this one or later
	lives = make(map[string]uint64)
	for _, server := range n.Servers() {
		lives[server.SID] = server.Epoch
	}
	c.history.Note(history.Event{F: history.Listed, Via: n.Self().SID, Index: index, Lives: lives})
	return lives
}

// observed is how often. The end of a life is known to no better.
const observed = 2 * time.Second

// Write implements nemesis.Cluster.
func (c *Cluster) Write(ctx context.Context, through ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for _, sid := range through {
		n := c.server(sid).running()
		if n == nil {
			return fmt.Errorf("%s does not run", sid)
		}
		if err := n.Add(ctx, "epilogue", "by-"+sid, sid); err != nil {
			return fmt.Errorf("a write through %s: %w", sid, err)
		}
	}
	return nil
}

// Replicas notes what state each server has at which index.
func (c *Cluster) Replicas(ctx context.Context) (statuses []*pb.StatusResponse, err error) {
	for _, sid := range c.everybody() {
		client, err := c.client(ctx, sid)
		if err != nil {
			return nil, err
		}
		st, err := client.Status(ctx, &pb.StatusRequest{Hash: true})
		if err != nil {
			return nil, fmt.Errorf("status of %s: %w", sid, err)
		}
		statuses = append(statuses, st)
		c.history.Note(history.Event{F: history.Replica, Via: sid, Index: st.GetApplied(), State: st.GetStateHash()})
	}
	return statuses, nil
}

// Logs are what the servers logged, by sid.
func (c *Cluster) Logs() map[string]string {
	logs := make(map[string]string)
	for _, servers := range []map[string]*Server{c.servers, c.guests} {
		for sid, s := range servers {
			logs[sid] = s.log.String()
		}
	}
	return logs
}

func (c *Cluster) hangUp() {
	for _, servers := range []map[string]*Server{c.servers, c.guests} {
		for _, s := range servers {
			s.hangUp()
		}
	}
}

func (c *Cluster) fault(sid, text string) {
	c.history.Note(history.Event{F: history.Fault, Via: sid, Text: text})
	if s := c.server(sid); s != nil {
		slog.New(s.log.handler()).Info("FAULT", "what", text)
	}
}
