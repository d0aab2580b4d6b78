package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/load"
	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
	"github.com/pofresh/globalchannel/node"
)

// channelNode is a node, used as any server would: through package node.
type channelNode struct {
	*node.Node
	sid   string
	crowd *load.Crowd
}

func (c *child) openNode(ctx context.Context, o Node) (proc.None, error) {
	n, err := c.startNode(ctx, o, load.NewCrowd(""), nil)
	if err != nil {
		return proc.None{}, err
	}
	if err := c.open(n); err != nil {
		return proc.None{}, errors.Join(err, n.Close())
	}
	return proc.None{}, nil
}

// stype is that of all nodes that are given none.
const stype = "bench"

// startNode starts a node and waits until it is ready.
func (c *child) startNode(ctx context.Context, o Node, crowd *load.Crowd, onPush node.PushHandler) (*channelNode, error) {
	var network node.Network
	if o.Counted {
		network = c.traffic
	}
	var store node.LogStore
	if err := store.UnmarshalText([]byte(o.Store)); err != nil {
		return nil, err
	}
	n, err := node.Start(ctx, node.Config{
		SID: o.SID, SType: cmp.Or(o.SType, stype), Listen: o.Listen, Join: o.Join, Expect: o.Expect, NonVoter: o.NonVoter,
		Cluster: node.Settings{ReapAfter: o.ReapAfter}, DataDir: o.DataDir, LogStore: store, OnPush: onPush, Network: network,
	})
	if err != nil {
		return nil, fmt.Errorf("start node: %w", err)
	}
	if err := n.Ready(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("wait until %s is ready: %w", o.SID, err), n.Close())
	}
	return &channelNode{Node: n, sid: o.SID, crowd: crowd}, nil
}

func (n *channelNode) add(ctx context.Context, p load.Pair) error {
	return n.Add(ctx, p.Name, p.UID, n.sid)
}

func (n *channelNode) leave(ctx context.Context, p load.Pair) error {
	return n.Leave(ctx, p.Name, p.UID, n.sid)
}

func (n *channelNode) apply(ctx context.Context, add, leave []load.Pair) error {
	ops := make([]node.Op, 0, len(add)+len(leave))
	for _, p := range add {
		ops = append(ops, node.Op{Kind: node.OpAdd, Name: p.Name, UID: p.UID, SID: n.sid})
	}
	for _, p := range leave {
		ops = append(ops, node.Op{Kind: node.OpLeave, Name: p.Name, UID: p.UID, SID: n.sid})
	}
	_, err := n.Apply(ctx, ops...)
	return err
}

func (n *channelNode) fill(ctx context.Context) error {
	if err := n.DestroyAllChannels(ctx); err != nil {
		return fmt.Errorf("empty: %w", err)
	}
	return fillWith(ctx, n.crowd, n.add)
}

func (n *channelNode) step(l Load) (func(caller int) load.Step, error) {
	return func(caller int) load.Step {
		if l.Group > 0 {
			return n.crowd.Groups(caller, l.Group, n.apply)
		}
		return n.crowd.AddAndLeave(caller, n.add, n.leave)
	}, nil
}

func (n *channelNode) look() View {
	s := n.Status()
	return View{Leads: s.Leader == n.sid, Leader: s.Leader, Term: s.Term, Index: n.Index(), Voters: votes(s), Problem: s.Problem}
}

func (n *channelNode) foreignCPU(context.Context) (time.Duration, error) { return 0, nil }

func (n *channelNode) close() error { return n.Close() }

// self is the node of everything that embeds one.
func (n *channelNode) self() *channelNode { return n }

// node is the open target, which the requests below are for.
func (c *child) node() (*channelNode, error) {
	t, err := c.opened()
	if err != nil {
		return nil, err
	}
	if n, ok := t.(interface{ self() *channelNode }); ok {
		return n.self(), nil
	}
	return nil, errors.New("this process is no node")
}

func (c *child) catchUp(ctx context.Context, i Index) (proc.None, error) {
	n, err := c.node()
	if err != nil {
		return proc.None{}, err
	}
	_, err = n.MembersBySID(ctx, "any", n.sid, node.AtLeast(i.Index))
	return proc.None{}, err
}
