package node

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// What becomes of the batches of one life when the next one of the same process
// begins. Nothing is ever sent again under another origin: it could take effect
// twice. What waited in the queue was never sent, and goes on in the new life.
//
// Only removals have another way: a group that does nothing but remove members of one
// life of a server is carried by the next registration of that server's process, so that whom
// it meant does not come back. Its caller can't be told that it had no effect, nor
// where it had one. A group that does more is not carried: half of it would be.

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
		var ops []*fsmpb.Op
		for _, g := range removals(b.data) {
			if g.sid == o.sid {
				ops = append(ops, g.ops...)
			}
		}
		if len(ops) > 0 {
			r.Removals = append(r.Removals, &fsmpb.Removals{Number: b.number, Ops: ops})
		}
	}
	r = withinEntry(r)
	o.carries = r != nil
	return r
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

// removal is a group that only removes members of one server; one that does anything
// else has no sid.
type removal struct {
	sid string
	ops []*fsmpb.Op
}

// removals are the groups of a batch, in the order of its calls.
func removals(data []byte) []removal {
	var b fsmpb.Batch
	if proto.Unmarshal(data, &b) != nil {
		return nil // it is our own, so it can be read
	}
	groups := make([]removal, len(b.GetGroups()))
	for i, g := range b.GetGroups() {
		if sid := removesFrom(g.GetOps()); sid != "" {
			groups[i] = removal{sid, g.GetOps()}
		}
	}
	return groups
}

func removesFrom(ops []*fsmpb.Op) (sid string) {
	for i, op := range ops {
		k := op.GetKind()
		if k != fsmpb.OpKind_OP_LEAVE && k != fsmpb.OpKind_OP_LEAVE_ALL || i > 0 && op.GetSid() != sid || op.GetEpoch() != ops[0].GetEpoch() {
			return "" // of two lives, one may be refused and the other not
		}
		sid = op.GetSid()
	}
	return sid
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
	o.carries = false
	o.reportIdle()
}

// conclude answers a batch of a life that is over. It runs with mu held.
func (o *outbox) conclude(b *batch, before *fsmpb.Predecessor) {
	resp, outcome := &peerpb.WriteResponse{}, fsm.BatchForgotten
	switch {
	case b.fenced, before != nil && b.number > before.GetLastNumber():
		outcome = fsm.BatchFenced
		o.answerCarried(b)
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

// errCarried is for removals that a registration may have taken along.
var errCarried = errors.New("this life was declared over; they may have taken effect when it was resumed")

// answerCarried takes those removals out of a fenced batch that had, or may yet have,
// an effect by another way. It runs with mu held.
func (o *outbox) answerCarried(b *batch) {
	var rest []*call
	groups := removals(b.data)
	for i, c := range b.calls {
		var g removal
		if i < len(groups) {
			g = groups[i]
		}
		switch {
		case g.sid != "" && g.sid == o.sid && o.carries:
			c.answer(answer{err: outcomeUnknown(errCarried)})
		case g.sid != "" && g.sid != o.sid && o.attached != nil && o.attached(g.sid):
			o.unremoved[g.sid] = append(o.unremoved[g.sid], g.ops...)
			c.answer(answer{err: outcomeUnknown(errCarried)})
		default:
			rest = append(rest, c)
		}
	}
	b.calls = rest
}

// abandon answers what was sent and never answered: the node has ended.
func (o *outbox) abandon(ctx context.Context) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, b := range o.flight.batches {
		err := error(ErrFenced)
		if b.fenced {
			o.answerCarried(b)
		} else {
			err = outcomeUnknown(ended(ctx))
		}
		for _, c := range b.calls {
			c.answer(answer{err: err})
		}
	}
	o.flight.batches = nil
	o.reportIdle()
}
