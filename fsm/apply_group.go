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
func (s *State) group(index uint64, origin *server, g *fsmpb.Group, results []byte) []byte {
	r := run{state: s, origin: origin, seen: g.GetSeen()}
	ops := g.GetOps()
	// A single operation that is refused has changed nothing. A larger group
	// is tried on a draft first, since the last one may be the one refused.
	if len(ops) > 1 {
		draft := newDraft(s)
		for i, op := range ops {
			if code := r.op(draft, op); refused(code) {
				return append(results, aborted(len(ops), i, code)...)
			}
		}
	}
	for _, op := range ops {
		results = append(results, r.op(ledger{s, index}, op))
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

func (r run) op(b book, op *fsmpb.Op) OpResult {
	switch op.GetKind() {
	case fsmpb.OpKind_OP_ADD:
		return r.add(b, op)
	case fsmpb.OpKind_OP_LEAVE:
		return r.leave(b, op)
	case fsmpb.OpKind_OP_DESTROY:
		if !validName(op.GetName()) {
			return OpInvalid
		}
		return changed(b.destroy(op.GetName()))
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

func (r run) add(b book, op *fsmpb.Op) OpResult {
	if !validMember(op) {
		return OpInvalid
	}
	if len(op.GetMeta()) > 0 || op.GetOptions() != nil {
		return OpUnsupported
	}
	if code := r.life(op); code != 0 {
		return code
	}
	k := key{name: op.GetName(), sid: op.GetSid(), uid: op.GetUid()}
	m, was := b.member(k)
	if was && op.GetSession() <= m.session {
		return OpUnchanged // an older connection's Add must not lower what a newer one holds
	}
	m.session = op.GetSession()
	b.put(k, m)
	return OpChanged
}

func (r run) leave(b book, op *fsmpb.Op) OpResult {
	if !validMember(op) {
		return OpInvalid
	}
	k := key{name: op.GetName(), sid: op.GetSid(), uid: op.GetUid()}
	m, was := b.member(k)
	if !was {
		return OpUnchanged // whatever life was meant: the wish is fulfilled
	}
	if code := r.life(op); code != 0 {
		return code
	}
	if op.GetSession() != 0 && op.GetSession() < m.session {
		return OpUnchanged // a newer connection of that player holds the membership
	}
	b.remove(k)
	return OpChanged
}

// life refuses an operation that means another life of the sid than the one
// that is up; 0 lets it pass. Earlier lives of the same process count as this
// one: it is the same connector with the same players.
func (r run) life(op *fsmpb.Op) OpResult {
	srv := r.state.servers[op.GetSid()]
	if srv == nil {
		return r.external(op)
	}
	if !srv.Up || op.GetEpoch() < srv.firstEpoch || op.GetEpoch() > srv.Epoch {
		return OpServerGone
	}
	return 0
}

// external is life for a sid without a record. A server may have been up under
// it and been forgotten since; who has not seen that must look again.
func (r run) external(op *fsmpb.Op) OpResult {
	if op.GetKind() == fsmpb.OpKind_OP_ADD && !r.state.settings.GetExternalSids() {
		return OpUnknownServer
	}
	if r.seen < r.state.forgotten {
		return OpServerGone
	}
	return 0
}

func validMember(op *fsmpb.Op) bool {
	return validName(op.GetName()) && validName(op.GetUid()) && validSID(op.GetSid())
}
