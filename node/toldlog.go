package node

import "github.com/hashicorp/raft"

// toldLog tells of its last entry when it has stored it, and before Raft sends it
// to anybody.
type toldLog struct {
	raft.LogStore
	tell func(last uint64)
}

// StoreLog implements raft.LogStore.
func (l toldLog) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

// StoreLogs implements raft.LogStore.
func (l toldLog) StoreLogs(entries []*raft.Log) error {
	if err := l.LogStore.StoreLogs(entries); err != nil {
		return err
	}
	if n := len(entries); n > 0 {
		l.tell(entries[n-1].Index)
	}
	return nil
}
