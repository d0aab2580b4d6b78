package node

import (
	"context"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// What becomes of the batches of one life when the next one of the same process
// begins. Nothing is ever sent again under another origin: it could take effect
// twice. What waited in the queue was never sent, and goes on in the new life.

// parkingLevel is the level of the state from which on it parks members, and knows
// Resume, Prune and Purge.
const parkingLevel = 3

// maxResumeBytes is what the removals of a resume may take: the registration is one
// entry. Above it nothing is resumed, and the host adds its players again.
const maxResumeBytes = 200 << 10

// resume asks for the parked members, but for those whom a batch without an answer
// would have removed. nil: there are too many of those to name. Not while run runs.
func (o *outbox) resume() *fsmpb.Resume {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := &fsmpb.Resume{Epoch: o.flight.origin.epoch}
	for _, b := range o.flight.batches {
		if ops := removals(b.data)[o.sid]; len(ops) > 0 {
			r.Removals = append(r.Removals, &fsmpb.Removals{Number: b.number, Ops: ops})
		}
	}
	return withinEntry(r)
}

// resumeAttached is resume for a frontend whose life of that epoch was attached here.
// It ended with this process's, as did the batches that were to remove somebody from it.
func (o *outbox) resumeAttached(sid string, epoch uint64) *fsmpb.Resume {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := &fsmpb.Resume{Epoch: epoch}
	if ops := o.unremoved[sid]; len(ops) > 0 {
		r.Removals = []*fsmpb.Removals{{Ops: ops}}
	}
	return withinEntry(r)
}

// resumed forgets the removals that the return of an attached frontend has dealt with.
func (o *outbox) resumed(sid string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.unremoved, sid)
}

func withinEntry(r *fsmpb.Resume) *fsmpb.Resume {
	if proto.Size(r) > maxResumeBytes {
		return nil
	}
	return r
}

// removals are the Leaves and LeaveAlls of a batch, by the server that they are for.
func removals(data []byte) map[string][]*fsmpb.Op {
	var b fsmpb.Batch
	if proto.Unmarshal(data, &b) != nil {
		return nil // it is our own, so it can be read
	}
	found := make(map[string][]*fsmpb.Op)
	for _, g := range b.GetGroups() {
		for _, op := range g.GetOps() {
			if k := op.GetKind(); k == fsmpb.OpKind_OP_LEAVE || k == fsmpb.OpKind_OP_LEAVE_ALL {
				found[op.GetSid()] = append(found[op.GetSid()], op)
			}
		}
	}
	return found
}

// enter gives the outbox the life that it writes for from now on; last is the
// number of the last batch that the state has of it. Batches of the life before get
// their answers from what the state has kept of that. Not while run runs.
func (o *outbox) enter(epoch, last uint64, before *fsmpb.Predecessor) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f := &o.flight
	was, batches := f.origin.epoch, f.batches
	f.batches, f.origin, f.number = nil, origin{o.sid, epoch}, last
	if before.GetEpoch() != was {
		before = nil
	}
	o.unremoved = make(map[string][]*fsmpb.Op)
	for _, b := range batches {
		o.conclude(b, before)
	}
	o.reportIdle()
}

// conclude answers a batch of a life that is over. It runs with mu held.
func (o *outbox) conclude(b *batch, before *fsmpb.Predecessor) {
	resp, outcome := &peerpb.WriteResponse{}, fsm.BatchForgotten
	switch {
	case b.fenced, before != nil && b.number > before.GetLastNumber():
		outcome = fsm.BatchFenced
		for sid, ops := range removals(b.data) {
			o.unremoved[sid] = append(o.unremoved[sid], ops...)
		}
	case before != nil:
		kept := before.GetKept()
		at := slices.IndexFunc(kept, func(k *fsmpb.BatchRecord) bool { return k.GetNumber() == b.number })
		if at >= 0 {
			outcome = fsm.BatchRepeated
			resp.Index, resp.Results = kept[at].GetIndex(), kept[at].GetResults()
		}
	}
	o.settle(b, resp, outcome)
}

// abandon answers what was sent and never answered: the node has ended.
func (o *outbox) abandon(ctx context.Context) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, b := range o.flight.batches {
		err := error(ErrFenced)
		if !b.fenced {
			err = outcomeUnknown(ended(ctx))
		}
		for _, c := range b.calls {
			c.answer(answer{err: err})
		}
	}
	o.flight.batches = nil
	o.reportIdle()
}
