package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// targets finds, for one group, the life of each sid that its caller can only
// mean: the one that this node's replica shows. A replica that shows none may
// lag, so it catches up with the leader, once, before the state is asked.
type targets struct {
	node   *Node
	self   uint64            // epoch of this process's own life
	found  map[string]uint64 // by sid; nil for a single operation, which asks once
	caught bool              // the replica has caught up for this group
}

// logOp is op as it stands in the log.
func logOp(op *Op, epoch uint64) fsm.Op {
	return fsm.Op{Kind: fsmpb.OpKind(op.Kind), Name: op.Name, UID: op.UID, SID: op.SID, Session: op.Session, Epoch: epoch}
}

// atOnce is the usual case of wait: this node is ready, and knows every life that
// is meant without asking anybody.
func (t *targets) atOnce(ops []Op, logged []fsm.Op) bool {
	self, ready := t.node.life.current()
	if !ready {
		return false
	}
	t.begin(self, len(ops))
	for i := range ops {
		epoch, ok := t.known(&ops[i])
		if !ok {
			return false
		}
		logged[i] = logOp(&ops[i], epoch)
	}
	return true
}

// wait fills in logged, as far as anybody knows the lives.
func (t *targets) wait(ctx context.Context, self uint64, ops []Op, logged []fsm.Op) error {
	t.begin(self, len(ops))
	for i := range ops {
		epoch, ok := t.known(&ops[i])
		if !ok {
			var err error
			if epoch, err = t.ask(ctx, ops[i].SID); err != nil {
				return fmt.Errorf("look up server %q: %w", ops[i].SID, notSent(err))
			}
		}
		logged[i] = logOp(&ops[i], epoch)
	}
	return nil
}

func (t *targets) begin(self uint64, ops int) {
	t.self = self
	if ops > 1 {
		t.found = make(map[string]uint64)
	}
}

func (t *targets) known(op *Op) (epoch uint64, ok bool) {
	switch {
	case op.Epoch != 0 || op.SID == "" || op.Kind == opPurge:
		return op.Epoch, true
	case op.SID == t.node.cfg.SID:
		return t.self, true
	}
	if epoch, ok := t.found[op.SID]; ok {
		return epoch, true
	}
	s, _ := t.node.serverRecord(op.SID)
	if s.Up {
		t.remember(op.SID, s.Epoch)
	}
	return s.Epoch, s.Up
}

// ask returns 0 where nobody knows the sid.
func (t *targets) ask(ctx context.Context, sid string) (epoch uint64, err error) {
	if !t.caught && !t.node.settings().ExternalSIDs {
		if err := t.node.catchUp(ctx); err != nil {
			return 0, err
		}
		t.caught = true
	}
	// The life may be over: its members are parked, and may be removed.
	s, _ := t.node.serverRecord(sid)
	t.remember(sid, s.Epoch)
	return s.Epoch, nil
}

func (t *targets) remember(sid string, epoch uint64) {
	if t.found != nil {
		t.found[sid] = epoch
	}
}

func (n *Node) serverRecord(sid string) (fsm.Server, bool) {
	var s fsm.Server
	var ok bool
	n.replica.Read(func(state fsm.Reads) { s, ok = state.Server(sid) })
	return s, ok
}

// catchUp waits until the replica has what the leader has applied now.
func (n *Node) catchUp(ctx context.Context) error {
	for {
		_, changed := n.consensus.leadership()
		leader, err := n.enroll.route.leader()
		if err == nil {
			callCtx, cancel := n.enroll.route.follow(ctx, registerTimeout)
			var pong *peerpb.PingResponse
			pong, err = leader.Ping(callCtx, &peerpb.PingRequest{})
			cancel()
			if err == nil && pong.GetLeader() {
				return n.reader.wait(ctx, pong.GetApplied())
			}
		}
		n.enroll.route.pause(ctx, changed, 100*time.Millisecond)
		if ctx.Err() != nil {
			return errors.Join(ErrNoLeader, err, ended(ctx))
		}
	}
}
