package node

import (
	"sync"

	"github.com/pofresh/globalchannel/fsm"
)

// maxOwnNames is how many channels are told apart; when there are more, all wait for all.
const maxOwnNames = 4096

// ownWrites are this process's acknowledged writes that its replica may not have yet, by
// channel: a push waits for those on its own channels only, so that it needs no leader
// for what was written elsewhere.
type ownWrites struct {
	mu    sync.Mutex // guards all below
	all   uint64     // index of the newest one that may be about any channel
	names map[string]uint64
}

// note takes an acknowledged write, of a replica that has applied so much.
func (o *ownWrites) note(index, applied uint64, ops []fsm.Op) {
	if index <= applied {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range ops {
		if ops[i].Name == "" {
			o.all = max(o.all, index)
			continue
		}
		if o.names == nil {
			o.names = make(map[string]uint64)
		}
		o.names[ops[i].Name] = max(o.names[ops[i].Name], index)
	}
	if len(o.names) > maxOwnNames {
		o.forgetLocked(applied)
	}
}

// forgetLocked drops what the replica has. If that is little, it stands for everything.
func (o *ownWrites) forgetLocked(applied uint64) {
	for name, index := range o.names {
		if index <= applied {
			delete(o.names, name)
		}
	}
	if len(o.names) <= maxOwnNames/2 {
		return
	}
	for _, index := range o.names {
		o.all = max(o.all, index)
	}
	clear(o.names)
}

// noteAll takes something that may be about any channel.
func (o *ownWrites) noteAll(index uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = max(o.all, index)
}

// on is the index at which all of them are that are on these channels.
func (o *ownWrites) on(names []string) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	index := o.all
	for _, name := range names {
		index = max(index, o.names[name])
	}
	return index
}
