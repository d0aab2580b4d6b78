package fsm

import "github.com/pofresh/globalchannel/fsm/fsmpb"

// book is what operations are written into: the state itself, or a draft on
// top of it. The rules of an operation exist once and run on both.
type book interface {
	member(k key) (member, bool)
	put(k key, m member)
	remove(k key) // of a member that is there
	destroy(name string) bool
	destroyAll() bool
}

// ledger is the book that counts: the state, at one index.
type ledger struct {
	*State
	at uint64
}

func (l ledger) put(k key, m member) { l.State.put(k, m, l.at) }
func (l ledger) remove(k key)        { l.State.remove(k, l.at) }

// group applies a caller's operations, all or none, and appends their results.
func (s *State) group(index uint64, origin *server, g *group, results []byte) []byte {
	r := run{state: s, origin: origin, seen: g.seen}
	ops := g.ops
	// A single operation that is refused has changed nothing. A larger group
	// is tried on a draft first, since the last one may be the one refused.
	if len(ops) > 1 {
		draft := newDraft(s)
		for i := range ops {
			if code := r.op(draft, &ops[i]); refused(code) {
				return append(results, aborted(len(ops), i, code)...)
			}
		}
	}
	for i := range ops {
		results = append(results, r.op(ledger{s, index}, &ops[i]))
	}
	return results
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

// run is what the operations of one group have in common.
type run struct {
	state  *State
	origin *server
	seen   uint64 // index that the caller's replica had applied
}

func (r run) op(b book, o *op) OpResult {
	switch o.kind {
	case fsmpb.OpKind_OP_ADD:
		return r.add(b, o)
	case fsmpb.OpKind_OP_LEAVE:
		return r.leave(b, o)
	case fsmpb.OpKind_OP_DESTROY:
		if !validName(o.name) {
			return OpInvalid
		}
		return changed(b.destroy(string(o.name)))
	case fsmpb.OpKind_OP_DESTROY_ALL:
		return changed(b.destroyAll())
	case fsmpb.OpKind_OP_CLEAN_ON_START_UP:
		return changed(!r.state.othersUp(r.origin) && b.destroyAll())
	case fsmpb.OpKind_OP_LEAVE_ALL, fsmpb.OpKind_OP_MOVE, fsmpb.OpKind_OP_SET_OPTIONS:
		return OpUnsupported
	default:
		return OpInvalid
	}
}

func changed(did bool) OpResult {
	if did {
		return OpChanged
	}
	return OpUnchanged
}

func (r run) add(b book, o *op) OpResult {
	if !validMember(o) {
		return OpInvalid
	}
	if o.extras {
		return OpUnsupported
	}
	if code := r.life(o); code != 0 {
		return code
	}
	k := key{name: string(o.name), sid: string(o.sid), uid: string(o.uid)}
	m, was := b.member(k)
	if was && o.session <= m.session {
		return OpUnchanged // an older connection's Add must not lower what a newer one holds
	}
	m.session = o.session
	b.put(k, m)
	return OpChanged
}

func (r run) leave(b book, o *op) OpResult {
	if !validMember(o) {
		return OpInvalid
	}
	k := key{name: string(o.name), sid: string(o.sid), uid: string(o.uid)}
	m, was := b.member(k)
	if !was {
		return OpUnchanged // whatever life was meant: the wish is fulfilled
	}
	if code := r.life(o); code != 0 {
		return code
	}
	if o.session != 0 && o.session < m.session {
		return OpUnchanged // a newer connection of that player holds the membership
	}
	b.remove(k)
	return OpChanged
}

// life refuses an operation that means another life of the sid than the one
// that is up; 0 lets it pass. Earlier lives of the same process count as this
// one: it is the same connector with the same players.
func (r run) life(o *op) OpResult {
	srv := r.state.servers[string(o.sid)]
	if srv == nil {
		return r.external(o)
	}
	if !srv.Up || o.epoch < srv.firstEpoch || o.epoch > srv.Epoch {
		return OpServerGone
	}
	return 0
}

// external is life for a sid without a record. A server may have been up under
// it and been forgotten since; who has not seen that must look again.
func (r run) external(o *op) OpResult {
	if o.kind == fsmpb.OpKind_OP_ADD && !r.state.settings.GetExternalSids() {
		return OpUnknownServer
	}
	if r.seen < r.state.forgotten {
		return OpServerGone
	}
	return 0
}

func validMember(o *op) bool {
	return validName(o.name) && validName(o.uid) && validSID(o.sid)
}
