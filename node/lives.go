package node

import (
	"sync"

	"github.com/pofresh/globalchannel/cluster"
	"github.com/pofresh/globalchannel/fsm"
)

// leading is what the leader's duties in package cluster need of the replicated
// state. It satisfies cluster.State.
type leading struct {
	replica *fsm.Replica

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
	l.replica.View(func(s *fsm.State) { records = s.Records() })
	l.lives = make([]cluster.Life, len(records))
	for i, r := range records {
		l.lives[i] = cluster.Life{
			SID: r.SID, NodeID: r.NodeID, Incarnation: r.Incarnation, Addr: r.Addr,
			Via: r.Via, ViaEpoch: r.ViaEpoch, Epoch: r.Epoch, Up: r.Up, Changed: r.Changed,
		}
	}
	return l.lives
}
