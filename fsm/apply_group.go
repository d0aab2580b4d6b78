package fsm

import (
	"bytes"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// book is what operations are written into: the state itself, or a draft on
// top of it. The rules of an operation exist once and run on both.
type book interface {
	member(p *place) (session uint64, there bool)
	room(p *place) bool           // for another member; follows member(p), which was not there
	put(p *place, session uint64) // follows member(p)
	touch(p *place)               // an Add of who is there; follows member(p)
	remove(p *place)              // follows member(p), which was there
	holds(p *place) bool          // a membership of p's player on p's sid, in whatever channel
	leaveAll(p *place, session uint64) bool
	destroy(p *place) bool
	destroyAll() bool
}

// ledger is the book that counts: the state, at one index.
type ledger struct {
	*State
	at   uint64
	spot spot // that member was asked for last
}

func (l *ledger) member(p *place) (session uint64, there bool) {
	l.find(&l.spot, p)
	return l.spot.session, l.spot.there
}

func (l *ledger) put(p *place, session uint64)           { l.State.put(&l.spot, p, session, l.at) }
func (l *ledger) touch(*place)                           { l.State.touch(&l.spot, l.at) }
func (l *ledger) remove(*place)                          { l.State.remove(&l.spot, l.at) }
func (l *ledger) leaveAll(p *place, session uint64) bool { return l.State.leaveAll(p, session, l.at) }
func (l *ledger) destroy(p *place) bool                  { return l.State.destroy(p, l.at) }

// run is what the operations of one entry have in common. No operation changes
// a server's record, so what was looked up of those stays good.
type run struct {
	state   *State
	version uint32 // of the entry
	real    *ledger

	origin *server // of the batch
	seen   uint64  // by the group: index that the caller's replica had applied
	alone  bool    // it has one operation

	sid    []byte // of the last operation
	server *server
}

// group applies a caller's operations, all or none, and appends their results.
func (r *run) group(origin *server, g *group, results []byte) []byte {
	r.origin, r.seen, r.alone = origin, g.seen, len(g.ops) == 1
	for i := range g.ops {
		r.state.locate(&g.ops[i].place)
	}
	if r.state.gate != nil && !r.state.besideReads(g.ops) {
		r.state.keepReadsOut()
	}
	if r.state.pins.none() {
		return r.locked(g, results)
	}
	tables, need := r.state.tables, r.state.locksOf(g.ops)
	r.state.beside.shards.add(need)
	tables.lock(need)
	results = r.locked(g, results)
	tables.unlock(need)
	return results
}

// locked is group, where nobody else looks at what it changes.
func (r *run) locked(g *group, results []byte) []byte {
	if r.alone { // if it is refused it has changed nothing
		o := &g.ops[0]
		return append(results, r.do(r.real, o, r.verdict(o)))
	}
	if r.allClear(g.ops) && r.state.roomFor(len(g.ops)) {
		for i := range g.ops {
			r.ahead(g.ops, i)
			results = append(results, r.do(r.real, &g.ops[i], 0))
		}
		return results
	}
	if i, code := r.refusal(g.ops); code != 0 {
		return append(results, aborted(len(g.ops), i, code)...)
	}
	for i := range g.ops {
		o := &g.ops[i]
		results = append(results, r.do(r.real, o, r.verdict(o)))
	}
	return results
}

// ahead looks ahead in a group that is too large for it to be done before.
func (r *run) ahead(ops []op, i int) {
	if i%warmOps == 0 && len(ops) > warmOps {
		r.state.warmEach(ops[i:min(i+warmOps, len(ops))])
		r.state.warmUp()
	}
}

// allClear says that nothing can be refused, whatever the channels hold: that
// is what almost every group is, and it needs no draft.
func (r *run) allClear(ops []op) bool {
	for i := range ops {
		if r.verdict(&ops[i]) != 0 {
			return false
		}
	}
	return true
}

// refusal finds the operation that is refused, and with it the whole group; 0
// if none is. A Leave that means another life is refused if the member is
// there, and an Add if there is no room, and that depends on the operations before it: they are tried in order
// on a draft, so that a refusal of the last one finds nothing to undo.
func (r *run) refusal(ops []op) (culprit int, code OpResult) {
	draft := newDraft(r.state)
	for i := range ops {
		if code := r.do(draft, &ops[i], r.verdict(&ops[i])); refused(code) {
			return i, code
		}
	}
	return 0, 0
}

func refused(code OpResult) bool { return code >= OpServerGone }

func aborted(n, culprit int, code OpResult) []byte {
	results := make([]byte, n)
	for i := range results {
		results[i] = OpAborted
	}
	results[culprit] = code
	return results
}

// verdict is what can be said of an operation without a look at the channels:
// what refuses it, or 0.
func (r *run) verdict(o *op) OpResult {
	switch o.kind {
	case fsmpb.OpKind_OP_ADD:
		switch {
		case !validMember(o):
			return OpInvalid
		case o.extras:
			return OpUnsupported
		}
		return r.life(o)
	case fsmpb.OpKind_OP_LEAVE:
		if !validMember(o) {
			return OpInvalid
		}
		return r.life(o)
	case fsmpb.OpKind_OP_LEAVE_ALL:
		switch {
		case r.version < 2:
			return OpUnsupported
		case len(o.name) > 0 || !validOpText(o.uid, MaxNameBytes) || !validOpText(o.sid, MaxSIDBytes):
			return OpInvalid
		}
		return r.life(o)
	case fsmpb.OpKind_OP_DESTROY:
		if !validOpText(o.name, MaxNameBytes) {
			return OpInvalid
		}
		return 0
	case fsmpb.OpKind_OP_DESTROY_ALL, fsmpb.OpKind_OP_CLEAN_ON_START_UP:
		return 0
	case fsmpb.OpKind_OP_PRUNE, fsmpb.OpKind_OP_PURGE:
		return r.lone(o)
	case fsmpb.OpKind_OP_MOVE, fsmpb.OpKind_OP_SET_OPTIONS:
		return OpUnsupported
	default:
		return OpInvalid
	}
}

// lone is the verdict on what is never part of a larger group: no draft knows it.
func (r *run) lone(o *op) OpResult {
	purge := o.kind == fsmpb.OpKind_OP_PURGE
	switch {
	case !r.alone:
		return OpUnsupported
	case len(o.name) > 0 || !validOpText(o.sid, MaxSIDBytes), purge && len(o.uid) > 0, !purge && !validOpText(o.uid, MaxNameBytes):
		return OpInvalid
	case !purge:
		return r.life(o)
	case r.state.servers[string(o.sid)] != nil:
		return OpInvalid // a server's members end with its life
	}
	return 0
}

// do writes an operation of that verdict into a book.
func (r *run) do(b book, o *op, verdict OpResult) OpResult {
	if verdict == OpServerGone && fulfilled(b, o) {
		return OpUnchanged
	}
	if verdict != 0 {
		return verdict
	}
	switch o.kind {
	case fsmpb.OpKind_OP_ADD:
		return add(b, o)
	case fsmpb.OpKind_OP_LEAVE:
		return changed(leave(b, o))
	case fsmpb.OpKind_OP_LEAVE_ALL:
		return changed(b.leaveAll(&o.place, o.session))
	case fsmpb.OpKind_OP_DESTROY:
		return changed(b.destroy(&o.place))
	case fsmpb.OpKind_OP_DESTROY_ALL:
		return changed(b.destroyAll())
	case fsmpb.OpKind_OP_PRUNE:
		return changed(r.state.prune(&o.place, r.seen, r.real.at))
	case fsmpb.OpKind_OP_PURGE:
		return changed(r.state.purge(string(o.sid), r.real.at))
	default: // OP_CLEAN_ON_START_UP
		return changed(!r.state.othersUp(r.origin) && b.destroyAll())
	}
}

func changed(did bool) OpResult {
	if did {
		return OpChanged
	}
	return OpUnchanged
}

// fulfilled says that a Leave finds nobody there: whatever life was meant, the
// wish is fulfilled.
func fulfilled(b book, o *op) bool {
	switch o.kind {
	case fsmpb.OpKind_OP_LEAVE:
		_, was := b.member(&o.place)
		return !was
	case fsmpb.OpKind_OP_LEAVE_ALL, fsmpb.OpKind_OP_PRUNE:
		return !b.holds(&o.place)
	default:
		return false
	}
}

func add(b book, o *op) OpResult {
	held, was := b.member(&o.place)
	switch {
	case was && o.session <= held:
		b.touch(&o.place)
		return OpUnchanged // an older connection's Add must not lower what a newer one holds
	case !was && !b.room(&o.place):
		return OpLimit
	}
	b.put(&o.place, o.session)
	return OpChanged
}

func leave(b book, o *op) bool {
	held, was := b.member(&o.place)
	if !was || o.session != 0 && o.session < held {
		return false // nobody is there, or a newer connection of that player
	}
	b.remove(&o.place)
	return true
}

// life refuses an operation that means another life of the sid than its last one;
// 0 lets it pass. Earlier lives of the same process count as this one: it is the
// same connector with the same players. If the life is over, its members are
// parked: they may be removed, but nobody can join them.
func (r *run) life(o *op) OpResult {
	if r.sid == nil || !bytes.Equal(r.sid, o.sid) {
		r.sid, r.server = o.sid, r.state.servers[string(o.sid)]
	}
	srv := r.server
	if srv == nil {
		return r.external(o)
	}
	if !srv.Up && o.kind == fsmpb.OpKind_OP_ADD || o.epoch < srv.firstEpoch || o.epoch > srv.Epoch {
		return OpServerGone
	}
	return 0
}

// external is life for a sid without a record. A server may have been up under
// it and been forgotten since; who has not seen that must look again.
func (r *run) external(o *op) OpResult {
	if o.kind == fsmpb.OpKind_OP_ADD && !r.state.settings.GetExternalSids() {
		return OpUnknownServer
	}
	if r.seen < r.state.forgotten {
		return OpServerGone
	}
	return 0
}

func validMember(o *op) bool {
	if o.plain {
		return len(o.name) > 0 && len(o.uid) > 0 && len(o.sid) > 0 && len(o.sid) <= MaxSIDBytes
	}
	return validOpText(o.name, MaxNameBytes) && validOpText(o.uid, MaxNameBytes) && validOpText(o.sid, MaxSIDBytes)
}

// validOpText is for what the decoder has found to be UTF-8.
func validOpText(b []byte, limit int) bool {
	return len(b) > 0 && len(b) <= limit && bytes.IndexByte(b, 0) < 0
}
