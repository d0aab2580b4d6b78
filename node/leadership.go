package node

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/cluster"
	"github.com/pofresh/globalchannel/transport"
)

// This file is the part of consensus about who leads.

// reluctance is how long a node that should not lead leaves it to the others: an
// election takes 2 s at p99 where one can be won.
const reluctance = 5 * time.Second

// watch turns Raft's two notification channels into one state that others wait
// on. It never blocks: NotifyCh holds up Raft's main loop until it is read.
func (c *consensus) watch(notify <-chan bool, seen <-chan raft.Observation) {
	for {
		select {
		case leads := <-notify:
			// This may run late, and the node lead again: that term is not to be ended.
			if !leads && c.raft.State() != raft.Leader {
				c.courier.StepDown()
			}
			c.announce(func() { c.leads = leads })
		case <-seen:
			c.announce(func() {})
		case <-c.stop:
			return
		}
	}
}

func (c *consensus) announce(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	close(c.changed)
	c.changed = make(chan struct{})
}

// leadership reports whether this node leads, and a channel that is closed when
// that, or who leads, may have changed.
func (c *consensus) leadership() (leads bool, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leads && !c.silent, c.changed
}

// leaderAddress is a leader's place.
type leaderAddress struct{ nodeID, addr string }

// Leader returns the leader's node id and address; "" if none is known.
func (c *consensus) Leader() (nodeID, addr string) {
	c.mu.Lock()
	silent, elsewhere := c.silent, c.elsewhere
	c.mu.Unlock()
	if silent {
		return elsewhere.nodeID, elsewhere.addr
	}
	raftAddr, id := c.raft.LeaderWithID()
	if id == "" {
		return "", ""
	}
	_, addr = transport.SplitRaftAddress(raftAddr)
	return string(id), addr
}

// serve is told by the guard whether this node may take part in Raft. It runs with
// the guard's lock held.
func (c *consensus) serve(ok bool) {
	c.port.SilenceRaft(!ok)
	c.announce(func() { c.silent, c.elsewhere = !ok, leaderAddress{} })
}

// silence reports whether Raft here is cut off from the others, and a channel that is
// closed when that may have changed.
func (c *consensus) silence() (silent bool, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.silent, c.changed
}

// found takes what others say of the leader, which Raft here cannot hear.
func (c *consensus) found(l leaderAddress) {
	c.mu.Lock()
	news := c.silent && c.elsewhere != l
	c.mu.Unlock()
	if news {
		c.announce(func() {
			if c.silent {
				c.elsewhere = l
			}
		})
	}
}

// stands reports whether this node may be elected. One that should not lead leaves it
// to the others, for as long as an election takes several times over. If nobody has
// been elected by then nobody else can be: the others are down, no better, or lack an
// entry that only this node has, without which they get no vote of its own. It then
// leads, in order to hand on what they lack (see Node.stepAside), or because a leader
// that may run out of room is better than none.
func (c *consensus) stands() bool {
	if c.guard.Err() != nil {
		return false
	}
	if c.fitness.problem() == "" {
		return true
	}
	last := c.begun
	if r := c.started.Load(); r != nil && r.LastContact().After(last) {
		last = r.LastContact()
	}
	return time.Since(last) > reluctance
}

// handOver gives leadership to another voter, if this node leads and there is one:
// to the first of those that best names that takes it, and if it names none to whom Raft
// chooses.
func (c *consensus) handOver(ctx context.Context, best func(context.Context) []cluster.Server) error {
	if !c.mayHandOver() {
		return nil
	}
	// Raft gives up when the chosen one is not elected within an election timeout.
	// Another one may be by then, or it may be on the second try.
	for {
		err := c.offer(ctx, best(ctx))
		if err == nil || ctx.Err() != nil {
			return err
		}
		wait(ctx, handOverPause) // it may have failed at once
	}
}

// mayHandOver: this node leads, and is not the only voter.
func (c *consensus) mayHandOver() bool {
	// Raft would answer nothing while a call to the disk hangs.
	if silent, _ := c.silence(); silent || c.raft.State() != raft.Leader {
		return false
	}
	servers, err := c.Configuration()
	voters := 0
	for _, s := range servers {
		if s.Voter {
			voters++
		}
	}
	return err == nil && voters > 1
}

// handOverTo gives leadership to that very voter; nil: it was told to run for it now.
func (c *consensus) handOverTo(ctx context.Context, s cluster.Server) error {
	return c.transfer(ctx, func() raft.Future {
		return c.raft.LeadershipTransferToServer(raft.ServerID(s.NodeID), transport.RaftAddress(s.NodeID, s.Addr))
	})
}

// transfer waits for Raft to have handed leadership over.
func (c *consensus) transfer(ctx context.Context, start func() raft.Future) error {
	defer c.courier.Hasten()()
	return c.await(ctx, start)
}

// offer tries to give leadership to each once, and with none to whom Raft chooses.
func (c *consensus) offer(ctx context.Context, successors []cluster.Server) error {
	if len(successors) == 0 {
		return c.unlessGone(c.transfer(ctx, c.raft.LeadershipTransfer))
	}
	var errs []error
	for _, s := range successors {
		err := c.unlessGone(c.handOverTo(ctx, s))
		if err == nil {
			return nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// unlessGone forgives an error if this node does not lead any more, whoever does.
func (c *consensus) unlessGone(err error) error {
	if c.raft.State() != raft.Leader {
		return nil
	}
	return err
}
