package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/ancestor"
	"github.com/pofresh/globalchannel/cmd/bench/internal/load"
	"github.com/pofresh/globalchannel/node"
)

// pusher pushes, by its node or the ancestor's way.
type pusher struct {
	*channelNode
	other   *ancestor.Client // nil: without Redis
	counted tallies
}

func (c *child) openPusher(ctx context.Context, o Pusher) (info PusherInfo, err error) {
	p := &pusher{counted: newTallies()}
	if o.Redis != "" {
		if info, err = p.dial(ctx, c, o); err != nil {
			return info, errors.Join(err, p.hangUp())
		}
	}
	if p.channelNode, err = c.startNode(ctx, o.Node, nil, nil); err != nil {
		return info, errors.Join(err, p.hangUp())
	}
	if err := c.open(p); err != nil {
		return info, errors.Join(err, p.close())
	}
	return info, nil
}

func (p *pusher) dial(ctx context.Context, c *child, o Pusher) (info PusherInfo, err error) {
	to := ancestor.Options{Redis: o.Redis, Pool: o.Pool, Frontends: o.Frontends}
	if o.Node.Counted {
		to.Dial = c.traffic.DialContext
	}
	if p.other, err = ancestor.Dial(ctx, to); err != nil {
		return info, err
	}
	text, err := p.other.Info(ctx, "server")
	return PusherInfo{RedisVersion: infoField(text, "redis_version")}, err
}

func (p *pusher) counts() tallies { return p.counted }

// pushing makes one push, and tells to how many members it was.
type pushing func(ctx context.Context, channel string, msg []byte) (members int, err error)

func (p *pusher) step(l Load) (func(caller int) load.Step, error) {
	switch {
	case l.Churn != nil && p.other != nil:
		return l.Churn.steps(p.other.Add, p.other.Leave), nil
	case l.Push == nil:
		return nil, errors.New("a pusher pushes, and changes channels in Redis")
	}
	push, err := p.way(*l.Push)
	if err != nil {
		return nil, err
	}
	counts, err := p.counted.of(l.Push.Route)
	if err != nil {
		return nil, err
	}
	return func(caller int) load.Step { return l.Push.caller(caller, push, counts) }, nil
}

func (p *pusher) way(o Push) (pushing, error) {
	switch {
	case o.By == ByNode:
		return func(ctx context.Context, channel string, msg []byte) (int, error) {
			r, err := p.PushMessage(ctx, FrontendType, o.Route, msg, channel, node.PushOptions{Timeout: o.Timeout})
			if err == nil {
				err = missed(r)
			}
			return r.Members, err
		}, nil
	case o.By == ByAncestor && p.other != nil:
		return func(ctx context.Context, channel string, msg []byte) (int, error) {
			return p.other.Push(ctx, channel, o.Route, msg)
		}, nil
	}
	return nil, fmt.Errorf("there is no way %q to push", o.By)
}

// missed says whom a push did not reach.
func missed(r node.PushResult) error {
	if r.OK() {
		return nil
	}
	for _, s := range r.Servers {
		if s.Outcome != node.Delivered {
			return fmt.Errorf("%s: %s: %s", s.SID, s.Outcome, s.Reason)
		}
	}
	return fmt.Errorf("%d are offline", len(r.Failed))
}

// caller pushes to one channel after the other, beginning at one of its own.
func (o *Push) caller(caller int, push pushing, counts *tally) load.Step {
	next, msg := caller, make([]byte, o.Bytes)
	return func(ctx context.Context) (int, error) {
		channel := o.Channels[next%len(o.Channels)]
		next++
		members, err := push(ctx, channel, msg)
		if err == nil && (members < o.Members || members > o.Members+o.Spare) {
			err = fmt.Errorf("a push to %s was to %d members, not %d", channel, members, o.Members)
		}
		if err != nil {
			counts.failed.Add(1)
			return 0, err
		}
		counts.pushes.Add(1)
		return 1, nil
	}
}

// foreignCPU is what Redis has spent.
func (p *pusher) foreignCPU(ctx context.Context) (time.Duration, error) {
	if p.other == nil {
		return 0, nil
	}
	text, err := p.other.Info(ctx, "cpu")
	if err != nil {
		return 0, fmt.Errorf("ask Redis for its CPU time: %w", err)
	}
	return redisCPU(text)
}

// tidy removes what is in Redis.
func (p *pusher) tidy() error {
	if p.other == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), redisTimeout)
	defer cancel()
	return p.other.Remove(ctx)
}

func (p *pusher) hangUp() error {
	if p.other == nil {
		return nil
	}
	return p.other.Close()
}

func (p *pusher) close() error { return errors.Join(p.tidy(), p.hangUp(), p.channelNode.close()) }
