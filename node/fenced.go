package node

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
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
	// the cluster has forgotten the old life, or kept none of its members
	// (Status.Level below 3, or a ChannelManager): the host adds its players again.
	Restored, Missed int
}

// comeBack registers this process again. It does not fight: if another process has
// the sid by now, the leader finds that one alive and refuses.
func (n *Node) comeBack() error {
	if n.closing.Load() {
		return ErrClosed // it is our own goodbye that the replica shows
	}
	n.life.fence()
	old := n.life.epoch.Load()
	n.log.Warn("this life was declared over, registering again", "epoch", old)
	var resume *fsmpb.Resume // an older leader could not read it, and parks nothing
	if n.replica.Level() >= parkingLevel {
		resume = n.outbox.resume()
	}
	resp, err := n.life.register(n.ctx, resume)
	if err != nil {
		n.host.fenced(Fenced{Node: n, Old: old, Missed: -1})
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
	if before == nil || before.GetUncounted() || n.managed != nil {
		f.Missed = -1
	}
	n.log.Info("registered again", "epoch", f.New, "index", resp.GetIndex(), "restored", f.Restored, "missed", f.Missed)
	n.presence.ask()
	n.host.fenced(f)
	return nil
}
