package state

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

const (
	serverType = "bench"
	entryOps   = 1000 // operations in an entry of a busy leader
)

// change is an operation on one membership.
type change struct {
	membership
	leave bool
}

// feed writes the log of a leader and applies it to a replica. Every server sends
// its own players' operations, each a caller's group of one; an entry has a batch
// of every server that has any.
type feed struct {
	replica  *fsm.Replica
	names    *names
	sessions bool
	index    uint64 // of the last entry
	origins  []origin
	batches  [][]byte // used again
	log      raft.Log // used again
}

// origin is a server that sends batches.
type origin struct {
	epoch, number uint64
	groups, batch []byte // used again
}

// newFeed founds a cluster and registers the servers.
func newFeed(n *names, sessions bool) (*feed, error) {
	f := &feed{replica: fsm.NewReplica(), names: n, sessions: sessions, origins: make([]origin, len(n.sids))}
	found := &fsmpb.Entry{Command: &fsmpb.Entry_Found{Found: &fsmpb.Found{ClusterId: "bench", Generation: 1}}}
	if _, err := f.command(found); err != nil {
		return nil, err
	}
	for i, sid := range n.sids {
		up := &fsmpb.ServerUp{Sid: sid, Stype: serverType, NodeId: "node-" + sid, Incarnation: "life-" + sid, Addr: sid + ":1"}
		r, err := f.command(&fsmpb.Entry{Command: &fsmpb.Entry_ServerUp{ServerUp: up}})
		if err != nil {
			return nil, err
		}
		if r.Up.Outcome != fsm.UpNew {
			return nil, fmt.Errorf("register %s: outcome %d", sid, r.Up.Outcome)
		}
		f.origins[i].epoch = r.Up.Server.Epoch
	}
	return f, nil
}

func (f *feed) command(e *fsmpb.Entry) (fsm.Result, error) {
	data, err := fsm.EncodeEntry(fsm.Version, e)
	if err != nil {
		return fsm.Result{}, err
	}
	r := f.apply(data)
	return r, r.Err
}

// encode appends an entry with these operations. Entries must be applied in the
// order in which they were encoded: batches are numbered.
func (f *feed) encode(dst []byte, changes []change) []byte {
	for i := range f.origins {
		f.origins[i].groups = f.origins[i].groups[:0]
	}
	for _, c := range changes {
		o := &f.origins[c.sid]
		op := fsm.Op{
			Kind: fsmpb.OpKind_OP_ADD, Name: f.names.channel(c.channel), UID: f.names.uid(c.player), SID: f.names.sids[c.sid], Epoch: o.epoch,
		}
		switch {
		case c.leave:
			op.Kind = fsmpb.OpKind_OP_LEAVE
		case f.sessions:
			op.Session = uint64(c.player) + 1<<32
		}
		o.groups = fsm.AppendGroup(o.groups, f.index, op)
	}
	return f.pack(dst)
}

// destroy appends an entry that destroys a channel.
func (f *feed) destroy(dst []byte, channel uint32) []byte {
	for i := range f.origins {
		f.origins[i].groups = f.origins[i].groups[:0]
	}
	o := &f.origins[0]
	o.groups = fsm.AppendGroup(o.groups, f.index, fsm.Op{Kind: fsmpb.OpKind_OP_DESTROY, Name: f.names.channel(channel)})
	return f.pack(dst)
}

// pack appends the entry with the groups of all servers.
func (f *feed) pack(dst []byte) []byte {
	f.batches = f.batches[:0]
	for i := range f.origins {
		o := &f.origins[i]
		if len(o.groups) == 0 {
			continue
		}
		o.number++
		o.batch = fsm.AppendBatch(o.batch[:0], f.names.sids[i], o.epoch, o.number, o.groups)
		f.batches = append(f.batches, o.batch)
	}
	return fsm.AppendBatches(dst, fsm.Version, f.batches...)
}

// apply applies an entry as Raft does.
func (f *feed) apply(entry []byte) fsm.Result {
	f.index++
	f.log = raft.Log{Index: f.index, Term: 1, Type: raft.LogCommand, Data: entry}
	return f.replica.Apply(&f.log).(fsm.Result)
}

// forget lets go of what is used again, which is no part of the state.
func (f *feed) forget() {
	for i := range f.origins {
		f.origins[i].groups, f.origins[i].batch = nil, nil
	}
	f.batches = nil
	f.log = raft.Log{}
}

// effect counts the operations that changed something. Anything but a change or its
// absence is an error.
func effect(r fsm.Result) (changed int, err error) {
	if r.Err != nil {
		return 0, r.Err
	}
	for _, b := range r.Batches {
		did := bytes.Count(b.Results, []byte{fsm.OpChanged})
		if b.Outcome != fsm.BatchApplied || did+bytes.Count(b.Results, []byte{fsm.OpUnchanged}) != len(b.Results) {
			return 0, fmt.Errorf("entry at %d was refused: outcome %d", r.Index, b.Outcome)
		}
		changed += did
	}
	return changed, nil
}

var errIdle = errors.New("most operations changed nothing: this is no measurement")

// check is for entries of which nearly every operation has to change something.
func check(changed, ops int) error {
	if changed < ops*9/10 {
		return fmt.Errorf("%w: %d of %d did", errIdle, changed, ops)
	}
	return nil
}
