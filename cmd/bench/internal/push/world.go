package push

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/ancestor"
	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
	"github.com/pofresh/globalchannel/transport/ports"
)

const (
	voters       = 3
	memoryStore  = "boltdb" // says nothing without a data directory
	startTimeout = 2 * time.Minute
	callTimeout  = 2 * time.Minute
	// A frontend that is suspended is not to be declared gone while that is measured.
	reapAfter = 2 * mostDuration
)

// world is the processes: one cluster, and what the ancestor has in its place.
type world struct {
	options   Options
	sids      []string // of the frontends
	frontends []*proc.Process
	services  []ancestor.Frontend
	pusher    *proc.Process
	counting  *proc.Process // another pusher, which counts its bytes; nil: it is not needed
	gathered  map[string]bool
	idle      map[*proc.Process]idle // by pusher
}

// start has the first frontends found the cluster; all others, the pushers too, never
// vote, so none of them leads.
func (b *bench) start(ctx context.Context) (*world, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	o := b.options
	b.progress("start %d frontends and a pusher", o.Frontends)
	addrs, err := ports.Free(min(voters, o.Frontends-1))
	if err != nil {
		return nil, err
	}
	w := &world{options: o, gathered: make(map[string]bool), idle: make(map[*proc.Process]idle)}
	for i := range o.Frontends {
		sid := fmt.Sprintf("frontend-%02d", i+1)
		p, err := b.space.Process(sid)
		if err != nil {
			return nil, err
		}
		w.sids, w.frontends = append(w.sids, sid), append(w.frontends, p)
	}
	if err := w.openFrontends(ctx, addrs); err != nil {
		return nil, err
	}
	if w.pusher, err = b.openPusher(ctx, w, "pusher", addrs, false); err != nil {
		return nil, err
	}
	if o.wants("wire") {
		w.counting, err = b.openPusher(ctx, w, "counting-pusher", addrs, true)
	}
	return w, err
}

func (w *world) openFrontends(ctx context.Context, addrs []string) error {
	w.services = make([]ancestor.Frontend, len(w.frontends))
	return w.each(func(i int, p *proc.Process) error {
		n := server.Node{SID: w.sids[i], SType: server.FrontendType, Join: addrs, Store: memoryStore, ReapAfter: reapAfter}
		if i < len(addrs) {
			n.Listen, n.Expect = addrs[i], len(addrs)
		} else {
			n.NonVoter = true
		}
		return p.Call(ctx, server.OpenFrontend, n, &w.services[i])
	})
}

func (b *bench) openPusher(ctx context.Context, w *world, sid string, addrs []string, counted bool) (*proc.Process, error) {
	p, err := b.space.Process(sid)
	if err != nil {
		return nil, err
	}
	n := server.Node{SID: sid, SType: server.PusherType, Join: addrs, Store: memoryStore, ReapAfter: reapAfter, NonVoter: true, Counted: counted}
	var info server.PusherInfo
	err = p.Call(ctx, server.OpenPusher, server.Pusher{Node: n, Redis: b.options.Redis, Pool: b.options.Pool, Frontends: w.services}, &info)
	b.redisVersion = info.RedisVersion
	return p, err
}

// each does something with all frontends at once.
func (w *world) each(do func(i int, p *proc.Process) error) error {
	errs := make([]error, len(w.frontends))
	var all sync.WaitGroup
	for i, p := range w.frontends {
		all.Go(func() { errs[i] = do(i, p) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// members of a channel.
func (w *world) members(s shape) int { return w.options.scaled(s.each) * len(w.on(s)) }

// on are the servers that have members of it.
func (w *world) on(s shape) []string {
	if s == nine {
		return w.sids[:len(w.sids)-1]
	}
	return w.sids
}

// gather makes the channels of a shape, once, and waits until all replicas have them.
func (b *bench) gather(ctx context.Context, w *world, s shape) error {
	if w.gathered[s.name] {
		return nil
	}
	w.gathered[s.name] = true
	b.progress("  gather %d channels of %d members", s.channels, w.members(s))
	var index server.Index
	g := server.Gathering{Channels: s.names(s.channels), SIDs: w.on(s), Each: w.options.scaled(s.each), Players: w.options.scaled(players)}
	if err := w.pusher.Call(ctx, server.Gather, g, &index); err != nil {
		return err
	}
	if w.counting != nil {
		if err := w.counting.Call(ctx, server.CatchUp, index, nil); err != nil {
			return err
		}
	}
	return w.each(func(_ int, p *proc.Process) error { return p.Call(ctx, server.CatchUp, index, nil) })
}
