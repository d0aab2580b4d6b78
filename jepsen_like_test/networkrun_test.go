package jepsen_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	"github.com/pofresh/globalchannel/jepsen_like_test/nemesis"
	"github.com/pofresh/globalchannel/jepsen_like_test/switchnet"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// some is how many writes each server that can must acknowledge during and after a
// fault of the network.
const some = 20

// networkRun is a cluster whose servers are on machines of their own, under load.
// Clients reach all of them, whatever is cut.
type networkRun struct {
	*run
	nemesis.Real
	network *switchnet.Network
	load    *load
	all     []*harness.Server

	asking sync.WaitGroup // reads that wait for a fault's end
	waited atomic.Int32   // those of them that were answered
}

// startOnNetwork starts three voters and two servers that do not vote, or skips the
// test with the reason.
func startOnNetwork(t *testing.T, patience time.Duration) *networkRun {
	t.Helper()
	r := prepare(t, patience)
	network, err := switchnet.New(r.seed)
	if errors.Is(err, switchnet.ErrNotHere) {
		t.Skip(err)
	}
	r.must(err)
	t.Cleanup(func() { // after the cluster
		if err := network.Close(); err != nil {
			t.Error(err)
		}
	})
	witness := harness.Spec{SType: stype, NonVoter: true}
	servers := append(connectors(3), witness, witness)
	servers[3].SID, servers[4].SID = "connector-4", "connector-5"
	r.begin(harness.Options{Servers: servers, Network: network})
	n := &networkRun{run: r, Real: nemesis.Real{Cluster: r.cluster}, network: network, all: r.cluster.Servers}
	r.background(r.cluster.Watch)
	n.load = r.load(n.all)
	n.await(n.load, phase/2, n.all)
	return n
}

// during spoils the network, sees to it that it hurt, and heals it again: then there
// is a leader whom all follow, and all servers acknowledge writes.
func (n *networkRun) during(name string, fault func()) {
	n.t.Helper()
	began, before := time.Now(), n.network.Stats()
	fault()
	took, hurt := time.Since(began), n.network.Stats()
	n.must(n.Heal())
	healed := time.Now()
	reign := n.reign(n.all, 0)
	n.await(n.load, some, n.all)
	n.asking.Wait()
	n.t.Logf("%s for %v; %d packets were cut off, %d lost; %v after it was healed, all write, and %v leads",
		name, took.Round(time.Millisecond), hurt.Cut-before.Cut, hurt.Lost-before.Lost, time.Since(healed).Round(time.Millisecond), reign)
	if hurt.Cut == before.Cut && hurt.Lost == before.Lost {
		n.t.Errorf("%s: no packet was lost, the run does not count", name)
	}
}

// reign waits until those servers agree on a leader among them in a term above after.
func (n *networkRun) reign(of []*harness.Server, after uint64) nemesis.Reign {
	n.t.Helper()
	reign, err := nemesis.Leader(n.ctx, of, after)
	n.must(err)
	return reign
}

// without are all servers but these.
func (n *networkRun) without(not ...*harness.Server) []*harness.Server {
	return slices.DeleteFunc(slices.Clone(n.all), func(s *harness.Server) bool { return slices.Contains(not, s) })
}

// followers are the voters that do not lead.
func (n *networkRun) followers(r nemesis.Reign) []*harness.Server {
	return slices.DeleteFunc(n.without(r.Leader), func(s *harness.Server) bool { return s.NonVoter })
}

func (n *networkRun) nonVoters() (servers []*harness.Server) {
	for _, sid := range n.NonVoters() {
		servers = append(servers, n.Server(sid))
	}
	return servers
}

// askLinearizably lists a channel at that server within that time.
func (n *networkRun) askLinearizably(s *harness.Server, name string, within time.Duration) (uids []string, err error) {
	ctx, cancel := context.WithTimeout(n.ctx, within)
	defer cancel()
	client, err := s.Client()
	if err != nil {
		return nil, err
	}
	stream, err := client.Members(ctx, &pb.MembersRequest{Name: name, Linearizable: true})
	if err != nil {
		return nil, err
	}
	for {
		r, err := stream.Recv()
		if err != nil {
			return uids, eof(err)
		}
		for _, m := range r.GetMembers() {
			uids = append(uids, m.GetUid())
		}
	}
}

func eof(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// leaderless is nil if none of the servers knows a leader.
func leaderless(ctx context.Context, servers []*harness.Server) error {
	for _, s := range servers {
		st, err := s.Status(ctx, false)
		if err != nil {
			return err
		}
		if st.GetLeader() != "" {
			return fmt.Errorf("%s follows %s", s.SID, st.GetLeader())
		}
	}
	return nil
}
