package fsm_test

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// model is what the state should be, written as plainly as possible: flat
// lists, whole copies, no index. It shares no code and no type with package
// fsm, or both would share the bug. Numbers of outcomes are spelled out.
type model struct {
	index    uint64
	version  uint32 // of the entry
	cluster  string
	gen      uint64
	external bool
	lives    []modelLife            // every life that ever was, oldest first
	members  map[modelMember]uint64 // those of ended lives too, which nobody sees
	changed  map[string]uint64
	added    map[[2]string]uint64 // by sid and uid

	level, forgotten uint64
	raised           bool // by the entry's version
	wish             string
	wishedAt         uint64
	limit            uint32         // of the settings, to tell them apart
	most             map[string]int // of "members", "channels", "servers"; 0: as many as they like
}

type modelLife struct {
	sid, stype, node, incarnation, addr, via string
	viaEpoch, epoch, changed                 uint64
	up                                       bool
	batches                                  []modelBatch
	kept                                     int // of batches, the newest so many are answered again
	had                                      int // members at its end
	purged                                   bool
	before                                   *modelBefore
}

// modelBefore is what a registration says of the life of the same process before.
type modelBefore struct {
	life             modelLife
	restored, missed int
}

type modelBatch struct {
	at      uint64
	results []byte
}

type modelMember struct{ name, sid, uid string }

func newModel() *model {
	return &model{members: map[modelMember]uint64{}, changed: map[string]uint64{}, added: map[[2]string]uint64{}, level: 2}
}

func modelText(s string, limit int) bool {
	return len(s) >= 1 && len(s) <= limit && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

// life is the newest one of a sid.
func (m *model) life(sid string) *modelLife {
	for i := len(m.lives) - 1; i >= 0; i-- {
		if m.lives[i].sid == sid {
			return &m.lives[i]
		}
	}
	return nil
}

func (m *model) isUp(sid string, epoch uint64) bool {
	l := m.life(sid)
	return l != nil && l.up && l.epoch == epoch
}

func (m *model) found(f *fsmpb.Found) bool {
	if m.cluster != "" {
		return false
	}
	m.cluster, m.gen, m.external = f.GetClusterId(), uint64(f.GetGeneration()), f.GetSettings().GetExternalSids()
	m.limit = f.GetSettings().GetMaxVoters()
	m.limitBy(f.GetSettings())
	return true
}

func (m *model) limitBy(s *fsmpb.Settings) {
	m.most = map[string]int{"members": int(s.GetMaxMembers()), "channels": int(s.GetMaxChannels()), "servers": int(s.GetMaxServers())}
}

// full says that there are as many already as there may be.
func (m *model) full(what string) bool {
	things := map[string]bool{}
	for k := range m.members {
		switch what {
		case "members":
			things[k.name+"/"+k.uid+"/"+k.sid] = true
		case "channels":
			things[k.name] = true
		}
	}
	for _, l := range m.lives {
		if what == "servers" && l.up {
			things[l.sid] = true
		}
	}
	return m.most[what] > 0 && len(things) >= m.most[what]
}

func (m *model) hasChannel(name string) bool {
	for k := range m.members {
		if k.name == name {
			return true
		}
	}
	return false
}

func (m *model) setSettings(s *fsmpb.SetSettings) bool {
	switch {
	case s.GetId() == m.wish:
		return true
	case s.GetSeen() < m.wishedAt:
		return false
	}
	m.limitBy(s.GetSettings())
	m.wish, m.wishedAt, m.limit, m.external = s.GetId(), m.index, s.GetSettings().GetMaxVoters(), s.GetSettings().GetExternalSids()
	return true
}

func (m *model) raise(level uint32) bool {
	if uint64(level) > m.level {
		m.level = uint64(level)
		return true
	}
	return false
}

func (m *model) forget(upTo uint64) bool {
	upTo = min(upTo, m.index)
	if upTo <= m.forgotten {
		return false
	}
	m.forgotten = upTo
	for _, sid := range someSIDs {
		if l := m.life(sid); l != nil && !l.up && l.changed <= upTo {
			m.lives = slices.DeleteFunc(m.lives, func(l modelLife) bool { return l.sid == sid })
			m.dropWhere(func(k modelMember) bool { return k.sid == sid })
		}
	}
	return true
}

// seen are the members that are not parked.
func (m *model) seen() map[modelMember]uint64 {
	seen := maps.Clone(m.members)
	maps.DeleteFunc(seen, func(k modelMember, _ uint64) bool {
		l := m.life(k.sid)
		return l != nil && !l.up
	})
	return seen
}

// dropWhere removes memberships and notes which channels that changed.
func (m *model) dropWhere(gone func(modelMember) bool) (any bool) {
	for k := range maps.Clone(m.members) {
		if gone(k) {
			delete(m.members, k)
			m.changed[k.name] = m.index
			any = true
			if m.on(k.sid, k.uid) == 0 {
				delete(m.added, [2]string{k.sid, k.uid})
			}
		}
	}
	return any
}

// on counts what a player, or with no uid everybody, has on a sid.
func (m *model) on(sid, uid string) (n int) {
	for k := range m.members {
		if k.sid == sid && (uid == "" || k.uid == uid) {
			n++
		}
	}
	return n
}

func (m *model) endLife(l *modelLife) {
	l.up = false
	l.changed = m.index
	l.purged = m.version < 3
	if m.version < 3 {
		m.dropWhere(func(k modelMember) bool { return k.sid == l.sid })
	} else {
		l.had = m.on(l.sid, "")
	}
	for i := range m.lives {
		if o := &m.lives[i]; o.up && o.via == l.sid && o.viaEpoch == l.epoch {
			m.endLife(o)
		}
	}
}

func (m *model) serverDown(d *fsmpb.ServerDown) bool {
	if !m.isUp(d.GetSid(), d.GetEpoch()) {
		return false
	}
	if agent := d.GetViaEpoch(); agent != 0 && m.life(d.GetSid()).viaEpoch != agent {
		return false
	}
	m.endLife(m.life(d.GetSid()))
	return true
}

func (m *model) serverUp(up *fsmpb.ServerUp) int {
	const fresh, same, superseded, inUse, invalid, overLimit = 1, 2, 3, 4, 5, 6
	if !modelText(up.GetSid(), 64) || !modelText(up.GetStype(), 64) || up.GetVia() == up.GetSid() ||
		(up.GetVia() == "") != (up.GetViaEpoch() == 0) {
		return invalid
	}
	agentRefusal := 0
	if up.GetVia() != "" {
		if !m.isUp(up.GetVia(), up.GetViaEpoch()) {
			agentRefusal = superseded
		} else if m.life(up.GetVia()).via != "" {
			agentRefusal = invalid
		}
	}
	old := m.life(up.GetSid())
	if old != nil && old.up && old.incarnation == up.GetIncarnation() {
		if old.via == up.GetVia() && old.viaEpoch == up.GetViaEpoch() && old.addr == up.GetAddr() || up.GetSeen() < old.changed {
			return same
		}
		if agentRefusal != 0 {
			return agentRefusal
		}
		old.via, old.viaEpoch, old.addr, old.changed = up.GetVia(), up.GetViaEpoch(), up.GetAddr(), m.index
		if m.version >= 3 {
			old.node = up.GetNodeId()
		}
		return same
	}
	if old != nil {
		if up.GetSeen() < old.changed {
			return superseded
		}
		if old.up && old.node != up.GetNodeId() && up.GetEnds() != old.epoch {
			return inUse
		}
	}
	if old == nil && up.GetSeen() < m.forgotten {
		return superseded
	}
	if agentRefusal != 0 {
		return agentRefusal
	}
	if newcomer := old == nil || !old.up && old.incarnation != up.GetIncarnation(); newcomer && m.full("servers") {
		return overLimit
	}
	if old != nil && old.up {
		m.endLife(old)
	}
	var before *modelBefore
	again := old != nil && old.incarnation == up.GetIncarnation()
	if again && up.GetResume() != nil {
		m.takeOut(old, up.GetResume())
	} else {
		m.dropWhere(func(k modelMember) bool { return k.sid == up.GetSid() })
	}
	if again && m.version >= 3 {
		n := m.on(up.GetSid(), "")
		before = &modelBefore{life: *old, restored: n, missed: max(old.had-n, 0)}
	}
	m.lives = append(m.lives, modelLife{
		before: before,
		sid:    up.GetSid(), stype: up.GetStype(), node: up.GetNodeId(), incarnation: up.GetIncarnation(),
		addr: up.GetAddr(), via: up.GetVia(), viaEpoch: up.GetViaEpoch(),
		epoch: m.gen<<48 + m.index, changed: m.index, up: true,
	})
	return fresh
}

// takeOut removes whom the ended life had meant to remove, unless it did.
func (m *model) takeOut(old *modelLife, r *fsmpb.Resume) {
	for _, batch := range r.GetRemovals() {
		for _, op := range batch.GetOps() {
			applied := batch.GetNumber() >= 1 && batch.GetNumber() <= uint64(len(old.batches))
			meant := proto.CloneOf(op)
			meant.Kind = fsmpb.OpKind_OP_LEAVE
			if applied || r.GetEpoch() != old.epoch || op.GetSid() != old.sid || m.rightLife(meant, m.index) != 0 {
				continue
			}
			m.dropWhere(func(k modelMember) bool {
				mine := k.sid == op.GetSid() && k.uid == op.GetUid() && (op.GetSession() == 0 || m.members[k] <= op.GetSession())
				if op.GetKind() == fsmpb.OpKind_OP_LEAVE {
					return mine && k.name == op.GetName()
				}
				return mine && op.GetKind() == fsmpb.OpKind_OP_LEAVE_ALL && op.GetName() == ""
			})
		}
	}
}

// batch gives the outcome, the results and the index, each as the state would.
func (m *model) batch(b *fsmpb.Batch) (int, []byte, uint64) {
	const applied, repeated, old, gap, fenced, forgotten = 1, 2, 3, 4, 5, 6
	l := m.life(b.GetOriginSid())
	if l == nil || l.epoch != b.GetOriginEpoch() {
		return forgotten, nil, 0
	}
	last := uint64(len(l.batches))
	switch n := b.GetNumber(); {
	case n >= 1 && n <= last && n+uint64(l.kept) > last:
		return repeated, l.batches[n-1].results, l.batches[n-1].at
	case n <= last || n == 0:
		return old, nil, 0
	case !l.up:
		return fenced, nil, 0
	case n != last+1:
		return gap, nil, 0
	}
	var results []byte
	for _, g := range b.GetGroups() {
		results = append(results, m.group(l, g)...)
	}
	l.batches = append(l.batches, modelBatch{at: m.index, results: results})
	if m.version == 1 {
		l.kept = 1
	} else if l.kept < 8 {
		l.kept++
	}
	return applied, results, m.index
}

// group tries everything on the real thing and takes it all back on a refusal.
func (m *model) group(origin *modelLife, g *fsmpb.Group) []byte {
	members, changed, added := maps.Clone(m.members), maps.Clone(m.changed), maps.Clone(m.added)
	var results []byte
	for i, op := range g.GetOps() {
		code := m.op(origin, g, op)
		results = append(results, code)
		if code > 2 {
			m.members, m.changed, m.added = members, changed, added
			results = slices.Repeat([]byte{5}, len(g.GetOps()))
			results[i] = code
			return results
		}
	}
	return results
}

func (m *model) op(origin *modelLife, g *fsmpb.Group, op *fsmpb.Op) byte {
	const unchanged, changed, limit, invalid, unsupported = 1, 2, 6, 7, 8
	yes := func(b bool) byte {
		if b {
			return changed
		}
		return unchanged
	}
	switch op.GetKind() {
	case fsmpb.OpKind_OP_DESTROY:
		if !modelText(op.GetName(), 255) {
			return invalid
		}
		return yes(m.dropWhere(func(k modelMember) bool { return k.name == op.GetName() }))
	case fsmpb.OpKind_OP_CLEAN_ON_START_UP:
		for _, o := range m.lives {
			mine := o.sid == origin.sid || o.via == origin.sid && o.viaEpoch == origin.epoch
			if o.up && !mine {
				return unchanged
			}
		}
		return yes(m.dropWhere(func(modelMember) bool { return true }))
	case fsmpb.OpKind_OP_DESTROY_ALL:
		return yes(m.dropWhere(func(modelMember) bool { return true }))
	case fsmpb.OpKind_OP_UNSPECIFIED:
		return invalid
	case fsmpb.OpKind_OP_LEAVE_ALL:
		if m.version == 1 {
			return unsupported
		}
		return m.leaveAll(op)
	case fsmpb.OpKind_OP_PRUNE:
		if len(g.GetOps()) != 1 {
			return unsupported
		}
		if m.added[[2]string{op.GetSid(), op.GetUid()}] > g.GetSeen() && m.rightLife(op, 0) == 0 && op.GetName() == "" {
			return unchanged
		}
		op = proto.CloneOf(op)
		op.Session = 0
		return m.leaveAll(op)
	case fsmpb.OpKind_OP_PURGE:
		switch {
		case len(g.GetOps()) != 1:
			return unsupported
		case op.GetName() != "" || op.GetUid() != "" || !modelText(op.GetSid(), 64) || m.life(op.GetSid()) != nil:
			return invalid
		}
		return yes(m.dropWhere(func(k modelMember) bool { return k.sid == op.GetSid() }))
	case fsmpb.OpKind_OP_MOVE, fsmpb.OpKind_OP_SET_OPTIONS:
		return unsupported
	}
	if !modelText(op.GetName(), 255) || !modelText(op.GetUid(), 255) || !modelText(op.GetSid(), 64) {
		return invalid
	}
	k := modelMember{op.GetName(), op.GetSid(), op.GetUid()}
	held, there := m.members[k]
	if op.GetKind() == fsmpb.OpKind_OP_LEAVE {
		if !there {
			return unchanged
		}
		if code := m.rightLife(op, g.GetSeen()); code != 0 {
			return code
		}
		if op.GetSession() > 0 && held > op.GetSession() {
			return unchanged
		}
		return yes(m.dropWhere(func(o modelMember) bool { return o == k }))
	}
	if len(op.GetMeta()) > 0 {
		return unsupported
	}
	if code := m.rightLife(op, g.GetSeen()); code != 0 {
		return code
	}
	if !there && (m.full("members") || m.full("channels") && !m.hasChannel(k.name)) {
		return limit
	}
	if m.level >= 3 {
		m.added[[2]string{k.sid, k.uid}] = m.index
	}
	if there && held >= op.GetSession() {
		return unchanged
	}
	m.members[k] = op.GetSession()
	m.changed[k.name] = m.index
	return changed
}

func (m *model) leaveAll(op *fsmpb.Op) byte {
	const unchanged, changed, invalid = 1, 2, 7
	if op.GetName() != "" || !modelText(op.GetUid(), 255) || !modelText(op.GetSid(), 64) {
		return invalid
	}
	anybody := false
	for k := range m.members {
		anybody = anybody || k.sid == op.GetSid() && k.uid == op.GetUid()
	}
	if !anybody {
		return unchanged
	}
	if code := m.rightLife(op, m.index); code != 0 {
		return code
	}
	if m.dropWhere(func(k modelMember) bool {
		mine := k.sid == op.GetSid() && k.uid == op.GetUid()
		return mine && (op.GetSession() == 0 || m.members[k] <= op.GetSession())
	}) {
		return changed
	}
	return unchanged
}

// rightLife walks back through the lives of the sid, newest first, as long as
// they are of one process.
func (m *model) rightLife(op *fsmpb.Op, seen uint64) byte {
	const gone, unknown = 3, 4
	now := m.life(op.GetSid())
	if now == nil {
		if op.GetKind() == fsmpb.OpKind_OP_ADD && !m.external {
			return unknown
		}
		if seen < m.forgotten {
			return gone // it may be one that was
		}
		return 0
	}
	if !now.up && op.GetKind() == fsmpb.OpKind_OP_ADD {
		return gone
	}
	for i := len(m.lives) - 1; i >= 0; i-- {
		l := m.lives[i]
		if l.sid != op.GetSid() {
			continue
		}
		if l.incarnation != now.incarnation {
			return gone
		}
		if l.epoch == op.GetEpoch() {
			return 0
		}
	}
	return gone
}
