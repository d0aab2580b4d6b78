package node

import (
	"context"

	"github.com/pofresh/globalchannel/transport/peerpb"
)

// live is this server's way from admission to its end: join, register, open, and
// register again as often as this life is declared over.
func (n *Node) live() {
	n.group.Go(n.endIfRefused)
	select {
	case <-n.cluster.Admitted():
	case <-n.done:
		return
	case <-n.ctx.Done():
		return
	}
	resp, err := n.life.register(n.ctx, nil)
	if err != nil {
		if n.ctx.Err() == nil {
			n.fail(err)
		}
		return
	}
	n.reader.saw(resp.GetIndex())
	n.outbox.enter(resp.GetEpoch(), resp.GetLastNumber(), nil)
	n.sessions.begin(n)
	opened := func() { n.openUp(resp) }
	for n.tenure(opened) {
		if err := n.comeBack(); err != nil {
			if n.ctx.Err() == nil {
				n.fail(err)
			}
			break
		}
		opened = func() {}
	}
	n.outbox.abandon(n.ctx)
}

// tenure writes for one life until that is over; false if the node ends first.
func (n *Node) tenure(begun func()) (over bool) {
	ctx, cancel := context.WithCancel(n.ctx)
	defer cancel()
	idle := make(chan struct{})
	n.group.Go(func() {
		defer close(idle)
		n.outbox.run(ctx)
	})
	begun()
	over = n.life.watch(n.ctx, n.replica)
	cancel()
	<-idle
	return over
}

// openUp lets callers in, once.
func (n *Node) openUp(resp *peerpb.RegisterResponse) {
	n.managed.purgeBefore(n.ctx, n.cfg.SID)
	if n.cfg.CleanOnStartUp {
		n.cleanOnStartUp()
	}
	n.life.open(nil)
	n.log.Info("ready", "epoch", resp.GetEpoch(), "index", resp.GetIndex())
	n.compareSettings(resp.GetIndex())
}
