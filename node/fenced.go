package node

import (
	"context"
	"fmt"
	"runtime/debug"

	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// Fenced tells a host that this server's life was declared over while the process
// lived: the leader had not heard from it for Settings.ReapAfter, or an operator
// said so. At that index its members left every channel.
type Fenced struct {
	Node *Node
	Old  uint64 // the epoch that is over
	New  uint64 // the epoch that this process has now; 0: another server has taken the sid, and the node has ended

	// Restored memberships are those of the new life again, as if nothing had been;
	// Missed are those that the old life had at its end and that are gone: somebody
	// has removed them meanwhile, or this process wanted to. -1 if nobody knows, since
	// the cluster has forgotten the old life: the host adds its players again.
	Restored, Missed int
}

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
	if n.cfg.CleanOnStartUp {
		n.cleanOnStartUp()
	}
	n.life.open(nil)
	n.log.Info("ready", "epoch", resp.GetEpoch(), "index", resp.GetIndex())
	n.compareSettings(resp.GetIndex())
}

// comeBack registers this process again. It does not fight: if another process has
// the sid by now, the leader finds that one alive and refuses.
func (n *Node) comeBack() error {
	n.life.fence()
	old := n.life.epoch.Load()
	n.log.Warn("this life was declared over, registering again", "epoch", old)
	resp, err := n.life.register(n.ctx, n.outbox.resume())
	if err != nil {
		n.tellFenced(Fenced{Node: n, Old: old, Missed: -1})
		return fmt.Errorf("%w: %w", ErrFenced, err)
	}
	n.reader.saw(resp.GetIndex())
	if resp.GetEpoch() == old { // it was old news
		return nil
	}
	before := new(fsmpb.Predecessor)
	if err := proto.Unmarshal(resp.GetPredecessor(), before); err != nil || before.GetEpoch() == 0 {
		before = nil
	}
	n.outbox.enter(resp.GetEpoch(), resp.GetLastNumber(), before)
	f := Fenced{Node: n, Old: old, New: resp.GetEpoch(), Restored: int(before.GetRestored()), Missed: int(before.GetMissed())}
	if before == nil {
		f.Missed = -1
	}
	n.log.Info("registered again", "epoch", f.New, "index", resp.GetIndex(), "restored", f.Restored, "missed", f.Missed)
	n.presence.ask()
	n.tellFenced(f)
	return nil
}

// tellFenced calls the host, whose callback may take its time and may panic.
func (n *Node) tellFenced(f Fenced) {
	if n.cfg.OnFenced == nil || n.ctx.Err() != nil {
		return
	}
	go func() {
		defer func() {
			if p := recover(); p != nil {
				n.log.Error("OnFenced panicked", "panic", p, "stack", string(debug.Stack()))
			}
		}()
		n.cfg.OnFenced(n.ctx, f)
	}()
}
