package state

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/node"
)

// The node is one server, so all members of a channel are on it.
var onNode = Shape{Name: "node", Channels: 10_000, SIDs: 1, PerCell: 100, Players: 200_000, UIDBytes: uidBytes}

const groupOps = 500 // memberships in a call while the node is filled

// members measures lists of 100 members: through a node beside the same sets in
// Redis, and in the state machine alone.
func (b *bench) members(ctx context.Context) error {
	return errors.Join(b.membersOfNode(ctx), b.membersOfState(ctx))
}

func (b *bench) membersOfNode(ctx context.Context) (err error) {
	s := onNode.scaled(b.options.Scale)
	b.progress("  fill a node: %s memberships", report.Thousands(float64(s.memberships())))
	names, all := newNames(s, 0), s.draw(0)
	n, err := node.Start(ctx, node.Config{SID: names.sids[0], SType: serverType})
	if err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	if err := n.Ready(ctx); err != nil {
		return fmt.Errorf("wait until the node is ready: %w", err)
	}
	if err := fillNode(ctx, n, names, all); err != nil {
		return fmt.Errorf("fill the node: %w", err)
	}
	if b.sets != nil {
		if _, err := b.sets.load(ctx, names, all); err != nil {
			return err
		}
	}
	return b.takeTurns(ctx, s, names, n)
}

func fillNode(ctx context.Context, n *node.Node, names *names, all []membership) error {
	ops := make([]node.Op, 0, groupOps)
	for len(all) > 0 {
		k := min(len(all), groupOps)
		ops = ops[:0]
		for _, m := range all[:k] {
			ops = append(ops, node.Op{Kind: node.OpAdd, Name: names.channel(m.channel), UID: names.uid(m.player), SID: names.sids[m.sid]})
		}
		if _, err := n.Apply(ctx, ops...); err != nil {
			return err
		}
		all = all[k:]
	}
	return nil
}

// takeTurns measures both sides again and again, each run in the other order.
func (b *bench) takeTurns(ctx context.Context, s Shape, names *names, n *node.Node) error {
	any := func(random *rand.Rand) uint32 { return uint32(random.IntN(s.Channels)) }
	sides := []struct {
		measure string
		do      call
	}{
		{"members100_per_s_8", func(random *rand.Rand) error {
			uids, err := n.MembersBySID(ctx, names.channel(any(random)), names.sids[0])
			return errors.Join(err, s.complete(len(uids)))
		}},
		{"members100_iter_per_s_8", func(random *rand.Rand) error {
			members, err := n.Members(ctx, names.channel(any(random)))
			if err != nil {
				return err
			}
			count := 0
			for range members {
				count++
			}
			return s.complete(count)
		}},
		{"smembers100_per_s_8", func(random *rand.Rand) error {
			uids, err := b.sets.SMembers(ctx, names.key(any(random), 0)).Result()
			return errors.Join(err, s.complete(len(uids)))
		}},
	}
	if b.sets == nil {
		sides = sides[:2]
	}
	for run := range b.options.Runs {
		got := make(map[string]float64)
		for i := range sides {
			side := sides[(i+run)%len(sides)]
			v, err := perSecond(ctx, callers, b.options.Duration, side.do)
			if err != nil {
				return fmt.Errorf("%s: %w", side.measure, err)
			}
			got[side.measure] = v
			b.add(side.measure, v)
		}
		if redis := got["smembers100_per_s_8"]; redis > 0 {
			b.add("members100_vs_redis_8", got["members100_per_s_8"]/redis)
			b.add("members100_iter_vs_redis_8", got["members100_iter_per_s_8"]/redis)
		}
	}
	return nil
}

// complete checks an answer.
func (s Shape) complete(members int) error {
	if members != s.PerCell {
		return fmt.Errorf("got %d members, want %d", members, s.PerCell)
	}
	return nil
}

// membersOfState asks the state machine, one caller: 100 members on one server, and
// a channel that has ten on each of ten.
func (b *bench) membersOfState(ctx context.Context) error {
	for _, q := range []struct {
		measure string
		shape   Shape
		ask     func(s fsm.Reads, name, sid string) int
		want    int
	}{
		{"members100_state_ns", hundred, func(s fsm.Reads, name, sid string) int { return len(s.MembersBySID(name, sid).UIDs()) }, hundred.PerCell},
		{"members100_10x10_state_ns", small, func(s fsm.Reads, name, _ string) int { return len(s.Members(name).Members()) }, small.PerCell * small.SIDs},
	} {
		w, err := b.build(ctx, q.shape, 0, 0)
		if err != nil {
			return err
		}
		ask := func(random *rand.Rand) error {
			got, m := 0, w.all[random.IntN(len(w.all))]
			w.replica.Read(func(s fsm.Reads) { got = q.ask(s, w.names.channel(m.channel), w.names.sids[m.sid]) })
			if got != q.want {
				return fmt.Errorf("%s: got %d members, want %d", q.measure, got, q.want)
			}
			return nil
		}
		for range b.options.Runs {
			v, err := perSecond(ctx, 1, b.options.Duration, ask)
			if err != nil {
				return err
			}
			b.add(q.measure, 1e9/v)
		}
	}
	return nil
}
