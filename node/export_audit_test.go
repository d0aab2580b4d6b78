package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/fsm"
)

// Spoil gives this node the state that its log would have led to with one text for
// another, of the same length: nothing tells it from a good one but its content.
// Nothing may be written meanwhile.
func (n *Node) Spoil(was, is string) error {
	first, err := n.store.Log.FirstIndex()
	if err != nil {
		return err
	}
	other := fsm.NewReplica()
	found := false
	for i := first; i <= n.replica.Index(); i++ {
		var l raft.Log
		if err := n.store.Log.GetLog(i, &l); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		found = found || bytes.Contains(l.Data, []byte(was))
		l.Data = bytes.ReplaceAll(l.Data, []byte(was), []byte(is))
		other.Apply(&l)
	}
	if !found || len(was) != len(is) || other.Index() != n.replica.Index() {
		return fmt.Errorf("not spoiled: found %v, index %d of %d", found, other.Index(), n.replica.Index())
	}
	snapshot, err := other.Snapshot()
	if err != nil {
		return err
	}
	var file sink
	return errors.Join(snapshot.Persist(&file), n.replica.Restore(io.NopCloser(&file)))
}

// sink is a raft.SnapshotSink in memory.
type sink struct{ bytes.Buffer }

func (*sink) ID() string    { return "sink" }
func (*sink) Cancel() error { return nil }
func (*sink) Close() error  { return nil }

// Compared is the index at which the states were compared last, as this node was told.
func (n *Node) Compared() uint64 {
	n.auditor.mu.Lock()
	defer n.auditor.mu.Unlock()
	return n.auditor.index
}

// IsRebuilding: it takes the state of another server.
func (n *Node) IsRebuilding() bool { return n.auditor.isRebuilding() }

// Snapshots are how many there are on this node's disk.
func (n *Node) Snapshots() int {
	list, _ := n.store.Snapshots.List()
	return len(list)
}

// TakeSnapshot has one taken soon.
func (n *Node) TakeSnapshot() { n.consensus.snapshotSoon() }
