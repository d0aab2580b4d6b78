package node

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

const (
	presenceInterval = 30 * time.Second
	presenceAtOnce   = 512 // removals that are under way at a time
)

// presence asks the host, if it has a way to tell, which of this server's members
// are online, and removes the others. So a player whose goodbye the host has missed
// does not stay for ever.
type presence struct {
	node   *Node
	online func(uid string) bool
	wanted chan struct{} // one slot
}

func newPresence(n *Node) *presence {
	return &presence{node: n, online: n.cfg.Online, wanted: make(chan struct{}, 1)}
}

// ask makes the next round come at once: members have just come back.
func (p *presence) ask() {
	select {
	case p.wanted <- struct{}{}:
	default:
	}
}

func (p *presence) run(ctx context.Context) {
	t := time.NewTicker(presenceInterval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-p.wanted:
		case <-ctx.Done():
			return
		}
		if _, ready := p.node.life.current(); !ready || p.node.life.isFenced() {
			continue
		}
		// A replica that does not know this life yet hides its members.
		epoch, index := p.node.life.registered()
		if p.node.replica.Wait(ctx, index) == nil {
			p.round(ctx, epoch)
		}
	}
}

// round looks at the members first and then asks, so that whoever is added for a
// player afterwards is newer than the question, and the state leaves it alone.
func (p *presence) round(ctx context.Context, epoch uint64) {
	var seen uint64
	var players fsm.List
	p.node.replica.View(func(s *fsm.State) {
		if seen = s.Index(); s.Level() >= parkingLevel {
			players = s.PlayersOn(p.node.cfg.SID)
		}
	})
	gone := 0
	var under []*call
	finish := func() {
		for _, c := range under {
			if a, err := p.node.outbox.end(ctx, c); err == nil && a.results[0] == fsm.OpChanged {
				gone++
				p.node.reader.saw(a.index)
			}
		}
		under = under[:0]
	}
	for _, uid := range players.UIDs() {
		if ctx.Err() != nil {
			return // nobody is left to hear of it; what is under way ends with the outbox
		}
		there, err := p.isOnline(uid)
		if err != nil {
			p.node.log.Error("Online failed, nobody more is removed in this round", "err", err)
			break
		}
		if there {
			continue
		}
		c, err := p.node.outbox.begin(seen, fsm.Op{Kind: fsmpb.OpKind_OP_PRUNE, UID: uid, SID: p.node.cfg.SID, Epoch: epoch})
		if err != nil {
			break // closing, or too much waits already: the next round asks again
		}
		if under = append(under, c); len(under) == presenceAtOnce {
			finish()
		}
	}
	finish()
	if gone > 0 {
		p.node.log.Info("removed players who are offline", "players", gone)
	}
}

// isOnline calls the host, who may panic: then nothing is known.
func (p *presence) isOnline(uid string) (there bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errors.Join(fmt.Errorf("panic: %v", v), errors.New(string(debug.Stack())))
		}
	}()
	return p.online(uid), nil
}
