package node

import (
	"context"
	"fmt"
	"sync"

	"github.com/pofresh/globalchannel/cluster"
	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// leading is what the leader's duties in package cluster need of the replicated
// state. It satisfies cluster.State.
type leading struct {
	replica   *fsm.Replica
	committer *committer
	desk      *desk

	mu      sync.Mutex      // guards what follows
	changed <-chan struct{} // closed: lives is old
	lives   []cluster.Life
}

// Lives implements cluster.State. It is asked every second, and the records of a
// quiet fleet do not change for hours.
func (l *leading) Lives() []cluster.Life {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.changed:
	default:
		if l.changed != nil {
			return l.lives
		}
	}
	l.changed = l.replica.ServersChanged()
	var records []fsm.Server
	l.replica.Read(func(s fsm.Reads) { records = s.Records() })
	l.lives = make([]cluster.Life, len(records))
	for i, r := range records {
		l.lives[i] = cluster.Life{
			SID: r.SID, NodeID: r.NodeID, Incarnation: r.Incarnation, Addr: r.Addr,
			Via: r.Via, ViaEpoch: r.ViaEpoch, Epoch: r.Epoch, Up: r.Up, Changed: r.Changed,
		}
	}
	return l.lives
}

// CatchUp implements cluster.State. The index is of a command of this node's own
// term, so all earlier terms are in the state with it.
func (l *leading) CatchUp(ctx context.Context) error {
	resp := l.desk.readIndex(ctx)
	if resp.GetDisposition() != peerpb.Disposition_DISPOSITION_APPLIED {
		return fmt.Errorf("%s: %s", resp.GetDisposition(), resp.GetReason())
	}
	return l.replica.Wait(ctx, resp.GetIndex())
}

// End implements cluster.State.
func (l *leading) End(ctx context.Context, life cluster.Life) error {
	resp := l.committer.unregister(ctx, &peerpb.UnregisterRequest{Sid: life.SID, Epoch: life.Epoch, ViaEpoch: life.ViaEpoch})
	if resp.GetDisposition() != peerpb.Disposition_DISPOSITION_APPLIED {
		return fmt.Errorf("end of a life not committed: %s", resp.GetDisposition())
	}
	return nil
}

// Forget implements cluster.State.
func (l *leading) Forget(ctx context.Context, index uint64) error {
	return l.commit(ctx, &fsmpb.Entry{Command: &fsmpb.Entry_Forget{Forget: &fsmpb.Forget{Index: index}}})
}

// Level implements cluster.State.
func (l *leading) Level() uint32 { return l.replica.Level() }

// RaiseLevel implements cluster.State.
func (l *leading) RaiseLevel(ctx context.Context, level uint32) error {
	return l.commit(ctx, &fsmpb.Entry{Command: &fsmpb.Entry_RaiseLevel{RaiseLevel: &fsmpb.RaiseLevel{Level: level}}})
}

func (l *leading) commit(ctx context.Context, e *fsmpb.Entry) error {
	_, disposition, err := l.committer.propose(ctx, e)
	if err == nil && disposition != peerpb.Disposition_DISPOSITION_APPLIED {
		err = fmt.Errorf("not committed: %s", disposition)
	}
	return err
}

// timers are the cluster's, or this server's own before it knows them.
func (n *Node) timers() cluster.Timers {
	s := n.settings()
	return cluster.Timers{ReapAfter: s.ReapAfter, ForgetAfter: s.ForgetAfter, RemoveAfter: s.RemoveAfter}
}
