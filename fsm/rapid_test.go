package fsm_test

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// Few names, so that random commands meet each other.
var (
	someSIDs   = []string{"a", "b", "c", "d"}
	someTypes  = []string{"connector", "chat"}
	someUIDs   = []string{"u1", "u2"}
	someNames  = []string{"x", "y", "1", "2", "3"} // more than a few
	badStrings = []string{"", "nul\x00", "\xff", strings.Repeat("n", 256)}
)

func sorted(s []string) []string {
	s = append([]string{}, s...)
	slices.Sort(s)
	return s
}

// machine applies random entries to the model, to a state that is snapshotted
// and restored now and then and gets them as messages, and to a replica that is
// not and gets them as the bytes of a log.
type machine struct {
	*rapid.T
	model    *model
	state    *fsm.State
	straight *fsm.Replica
}

func TestState_BehavesAsTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{T: rt, model: newModel(), state: fsm.NewState(), straight: fsm.NewReplica()}
		for range rapid.IntRange(10, 80).Draw(rt, "steps") {
			m.step()
			m.compare()
		}
		var straight []byte
		m.straight.View(func(s *fsm.State) { straight = m.bytes(s) })
		if !bytes.Equal(m.bytes(m.state), straight) {
			rt.Fatal("the restored state and the straight one differ in their bytes")
		}
	})
}

func (m *machine) step() {
	if rapid.IntRange(0, 9).Draw(m.T, "restore") == 0 {
		restored, err := fsm.ReadSnapshot(bytes.NewReader(m.bytes(m.state)))
		if err != nil {
			m.Fatalf("restore: %v", err)
		}
		m.state = restored
	}
	m.model.index += uint64(rapid.IntRange(1, 3).Draw(m.T, "index step"))
	e := m.draw()
	m.model.version = e.GetVersion()
	m.model.raised = m.model.raise(e.GetVersion())
	got := m.state.Apply(m.model.index, e)
	again := m.applyBytes(e)
	if diff := gocmp.Diff(got, again, protocmp.Transform()); diff != "" {
		m.Fatalf("two replicas answer differently:\n%s", diff)
	}
	if got.Err != nil {
		m.Fatalf("apply %v: %v", e, got.Err)
	}
	m.check(e, got)
}

// check compares a result with the model's.
func (m *machine) check(e *fsmpb.Entry, got fsm.Result) {
	switch c := e.GetCommand().(type) {
	case *fsmpb.Entry_Found:
		if want := m.model.found(c.Found); got.Changed != want {
			m.Fatalf("found: changed %v, want %v", got.Changed, want)
		}
	case *fsmpb.Entry_ServerDown:
		if want := m.model.serverDown(c.ServerDown); got.Changed != want {
			m.Fatalf("down %v: changed %v, want %v", c.ServerDown, got.Changed, want)
		}
	case *fsmpb.Entry_Forget:
		if want := m.model.forget(c.Forget.GetIndex()); got.Changed != want {
			m.Fatalf("forget %v: changed %v, want %v", c.Forget, got.Changed, want)
		}
	case *fsmpb.Entry_RaiseLevel:
		if want := m.model.raise(c.RaiseLevel.GetLevel()) || m.model.raised; got.Changed != want {
			m.Fatalf("raise %v: changed %v, want %v", c.RaiseLevel, got.Changed, want)
		}
	case *fsmpb.Entry_SetSettings:
		if want := m.model.setSettings(c.SetSettings); got.Changed != want {
			m.Fatalf("settings %v: changed %v, want %v", c.SetSettings, got.Changed, want)
		}
	case *fsmpb.Entry_ServerUp:
		if want := m.model.serverUp(c.ServerUp); int(got.Up.Outcome) != want {
			m.Fatalf("up %v: outcome %d, want %d", c.ServerUp, got.Up.Outcome, want)
		}
		m.checkUp(c.ServerUp.GetSid(), got.Up)
	case *fsmpb.Entry_Batches:
		for i, b := range c.Batches.GetBatches() {
			outcome, results, at := m.model.batch(b)
			g := got.Batches[i]
			if int(g.Outcome) != outcome || !bytes.Equal(g.Results, results) || g.Index != at {
				m.Fatalf("batch %v:\ngot  %d %v at %d\nwant %d %v at %d", b, g.Outcome, g.Results, g.Index, outcome, results, at)
			}
		}
	}
}

func (m *machine) checkUp(sid string, got fsm.UpResult) {
	var want fsm.UpResult
	want.Outcome = got.Outcome
	if l := m.model.life(sid); l != nil {
		want.Server, want.LastNumber, want.Predecessor = l.server(), uint64(len(l.batches)), l.before.proto()
	}
	if diff := gocmp.Diff(want, got, protocmp.Transform()); diff != "" {
		m.Fatalf("result of up (-want +got):\n%s", diff)
	}
}

func (l modelLife) server() fsm.Server {
	return fsm.Server{
		SID: l.sid, SType: l.stype, NodeID: l.node, Incarnation: l.incarnation, Addr: l.addr,
		Via: l.via, ViaEpoch: l.viaEpoch, Epoch: l.epoch, Up: l.up, Changed: l.changed,
	}
}

func (b *modelBefore) proto() *fsmpb.Predecessor {
	if b == nil {
		return nil
	}
	p := &fsmpb.Predecessor{
		Epoch: b.life.epoch, LastNumber: uint64(len(b.life.batches)), Restored: uint64(b.restored), Missed: uint64(b.missed), Uncounted: b.life.purged,
	}
	for i, a := range b.life.batches {
		if number := i + 1; number > len(b.life.batches)-b.life.kept {
			p.Kept = append(p.Kept, &fsmpb.BatchRecord{Number: uint64(number), Index: a.at, Results: a.results})
		}
	}
	return p
}

// ---- random entries

func (m *machine) draw() *fsmpb.Entry {
	var e *fsmpb.Entry
	command := rapid.IntRange(0, 19).Draw(m.T, "command")
	down := m.oneDown()
	switch {
	case command == 0 || command < 10 && m.model.cluster == "":
		e = entryFound("cluster", m.drawLimits(&fsmpb.Settings{ExternalSids: rapid.Bool().Draw(m.T, "external")}))
	case command < 3:
		e = entryUp(m.drawUp(m.rarelyBad("sid", someSIDs)))
	case command < 10 && down != "": // or most batches would be fenced
		e = entryUp(m.drawUp(down))
	case command == 10:
		sid := m.pick("down", someSIDs)
		e = entryDown(sid, m.drawEpoch(sid))
		if rapid.Bool().Draw(m.T, "detach") {
			e.GetServerDown().ViaEpoch = m.drawEpoch(m.pick("agent", someSIDs))
		}
	case command == 12 && rapid.Bool().Draw(m.T, "checkpoint"):
		e = entryCheckpoint()
	case command == 11 && rapid.Bool().Draw(m.T, "rare"):
		return m.drawRare()
	default:
		var batches []*fsmpb.Batch
		for range rapid.IntRange(0, 3).Draw(m.T, "batches") {
			batches = append(batches, m.drawBatch(batches))
		}
		e = entryBatches(batches...)
	}
	e.Version = rapid.SampledFrom([]uint32{4, 4, 4, 3, 2, 1}).Draw(m.T, "version")
	e.Version = max(e.GetVersion(), levelOf(e))
	return e
}

// levelOf is the least version that an entry may have.
func levelOf(e *fsmpb.Entry) uint32 {
	switch {
	case e.GetCheckpoint() != nil:
		return 4
	case e.GetServerUp().GetResume() != nil:
		return 3
	}
	for _, s := range []*fsmpb.Settings{e.GetFound().GetSettings(), e.GetSetSettings().GetSettings()} {
		if s.GetMaxMembers()+s.GetMaxChannels()+s.GetMaxServers() > 0 {
			return 4
		}
	}
	for _, b := range e.GetBatches().GetBatches() {
		for _, g := range b.GetGroups() {
			for _, o := range g.GetOps() {
				if o.GetKind() == fsmpb.OpKind_OP_PRUNE || o.GetKind() == fsmpb.OpKind_OP_PURGE {
					return 3
				}
			}
		}
	}
	return 1
}

// drawLimits limits some settings, to what is soon reached.
func (m *machine) drawLimits(s *fsmpb.Settings) *fsmpb.Settings {
	few := func(label string) uint64 {
		return rapid.SampledFrom([]uint64{0, 0, 1, 2, 3, 5}).Draw(m.T, label)
	}
	if rapid.Bool().Draw(m.T, "limited") {
		s.MaxMembers, s.MaxChannels, s.MaxServers = few("most members"), few("most channels"), few("most servers")
	}
	return s
}

// drawRare is of the commands that came with version 3.
func (m *machine) drawRare() *fsmpb.Entry {
	switch rapid.IntRange(0, 5).Draw(m.T, "rare command") {
	case 0:
		return entryRaise(rapid.Uint32Range(0, 4).Draw(m.T, "level"))
	case 1, 2:
		wish := rapid.Uint32Range(1, 3).Draw(m.T, "wish")
		return entrySettings(strconv.Itoa(int(wish)), rapid.Uint64Range(0, m.model.index).Draw(m.T, "seen"),
			m.drawLimits(&fsmpb.Settings{MaxVoters: wish, ExternalSids: wish == 1}))
	}
	return entryForget(rapid.Uint64Range(0, m.model.index+5).Draw(m.T, "forget"))
}

// applyBytes sends an entry through the log, where it has an encoding: strings
// that are not UTF-8 reach the state only within a process.
func (m *machine) applyBytes(e *fsmpb.Entry) fsm.Result {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(e)
	if err != nil {
		return fsm.ApplyMessage(m.straight, m.model.index, e)
	}
	if e.GetVersion() == fsm.Version && e.GetRaiseLevel() == nil {
		if again, err := fsm.EncodeEntry(fsm.Version, proto.CloneOf(e)); err != nil || !bytes.Equal(data, again) {
			m.Fatalf("entry %v encodes as %x, error %v; want %x", e, again, err, data)
		}
	}
	back, err := fsm.DecodeEntry(data)
	if err != nil || !proto.Equal(e, back) {
		m.Fatalf("entry came back as %v, error %v; was %v", back, err, e)
	}
	return m.straight.Apply(&raft.Log{Index: m.model.index, Type: raft.LogCommand, Data: data}).(fsm.Result)
}

func (m *machine) pick(label string, of []string) string {
	return rapid.SampledFrom(of).Draw(m.T, label)
}

func (m *machine) rarelyBad(label string, of []string) string {
	if rapid.IntRange(0, 30).Draw(m.T, label+" bad") == 0 {
		of = badStrings
	}
	return m.pick(label, of)
}

// drawEpoch is mostly the newest of the sid, else an old one, another's or none.
func (m *machine) drawEpoch(sid string) uint64 {
	l := m.model.life(sid)
	if l != nil && rapid.IntRange(0, 3).Draw(m.T, "current") > 0 {
		return l.epoch
	}
	epochs := []uint64{0, 1 << 60}
	for _, l := range m.model.lives {
		if l.sid == sid {
			epochs = append(epochs, l.epoch)
		}
	}
	return rapid.SampledFrom(epochs).Draw(m.T, "epoch")
}

func (m *machine) oneDown() string {
	for _, sid := range someSIDs {
		if l := m.model.life(sid); l == nil || !l.up {
			return sid
		}
	}
	return ""
}

func (m *machine) drawUp(sid string) *fsmpb.ServerUp {
	up := &fsmpb.ServerUp{
		Sid: sid, Stype: m.pick("stype", someTypes), NodeId: m.pick("node", []string{"n1", "n2"}),
		Incarnation: m.pick("incarnation", []string{"i1", "i2", "i3"}), Addr: m.pick("addr", []string{"h:1", "h:2"}),
		Seen: m.model.index - 1,
		Ends: m.drawEpoch(sid),
	}
	if l := m.model.life(sid); l != nil && rapid.Bool().Draw(m.T, "same incarnation") {
		up.Incarnation = l.incarnation
	}
	if rapid.IntRange(0, 3).Draw(m.T, "late") == 0 {
		up.Seen = rapid.Uint64Range(0, m.model.index).Draw(m.T, "seen")
	}
	if rapid.IntRange(0, 2).Draw(m.T, "attached") == 0 {
		up.Via = m.pick("via", someSIDs)
		up.ViaEpoch = m.drawEpoch(up.Via)
	}
	if rapid.IntRange(0, 3).Draw(m.T, "resume") > 0 {
		up.Resume = m.drawResume(sid)
	}
	return up
}

func (m *machine) drawResume(sid string) *fsmpb.Resume {
	r := &fsmpb.Resume{Epoch: m.drawEpoch(sid)}
	for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(m.T, "removals") {
		batch := &fsmpb.Removals{}
		if l := m.model.life(sid); l != nil {
			batch.Number = rapid.Uint64Range(0, uint64(len(l.batches))+2).Draw(m.T, "number")
		}
		for range rapid.IntRange(0, 2).Draw(m.T, "operations") {
			op := m.drawOp()
			if rapid.IntRange(0, 3).Draw(m.T, "own") > 0 {
				op.Sid = sid
			}
			batch.Ops = append(batch.Ops, op)
		}
		r.Removals = append(r.Removals, batch)
	}
	return r
}

func (m *machine) drawBatch(before []*fsmpb.Batch) *fsmpb.Batch {
	sid := m.pick("origin", someSIDs)
	number := uint64(1)
	if l := m.model.life(sid); l != nil {
		number = uint64(len(l.batches)) + 1
	}
	for _, b := range before { // those of the same entry are not in the model yet
		if b.GetOriginSid() == sid {
			number = b.GetNumber() + 1
		}
	}
	number += uint64(max(rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 0, 0, -1, -2, -8, -9, 1}).Draw(m.T, "number"), -int(number)))
	b := &fsmpb.Batch{OriginSid: sid, OriginEpoch: m.drawEpoch(sid), Number: number}
	for range rapid.IntRange(0, 4).Draw(m.T, "groups") {
		g := &fsmpb.Group{Seen: m.model.index - min(m.model.index, rapid.SampledFrom([]uint64{0, 0, 1, 3, 9}).Draw(m.T, "behind"))}
		for range rapid.SampledFrom([]int{0, 1, 1, 1, 2, 3, 6}).Draw(m.T, "operations") {
			g.Ops = append(g.Ops, m.drawOp())
		}
		b.Groups = append(b.Groups, g)
	}
	return b
}

func (m *machine) drawOp() *fsmpb.Op {
	add, leave := fsmpb.OpKind_OP_ADD, fsmpb.OpKind_OP_LEAVE
	kinds := []fsmpb.OpKind{add, add, add, add, leave, leave, leave}
	switch rapid.IntRange(0, 19).Draw(m.T, "odd kind") {
	case 0, 1:
		kinds = []fsmpb.OpKind{fsmpb.OpKind_OP_DESTROY, fsmpb.OpKind_OP_DESTROY_ALL, fsmpb.OpKind_OP_CLEAN_ON_START_UP}
	case 2:
		kinds = []fsmpb.OpKind{fsmpb.OpKind_OP_UNSPECIFIED, fsmpb.OpKind_OP_MOVE, fsmpb.OpKind_OP_SET_OPTIONS}
	case 3, 4, 5:
		kinds = []fsmpb.OpKind{fsmpb.OpKind_OP_LEAVE_ALL}
	case 6, 7:
		kinds = []fsmpb.OpKind{fsmpb.OpKind_OP_PRUNE}
	case 8:
		kinds = []fsmpb.OpKind{fsmpb.OpKind_OP_PURGE}
	}
	op := &fsmpb.Op{
		Kind: rapid.SampledFrom(kinds).Draw(m.T, "kind"), Name: m.rarelyBad("name", someNames),
		Uid: m.rarelyBad("uid", someUIDs), Sid: m.rarelyBad("target", someSIDs),
		Session: rapid.SampledFrom([]uint64{0, 0, 0, 1, 2, 3}).Draw(m.T, "session"),
	}
	op.Epoch = m.drawEpoch(op.GetSid())
	nameless := op.GetKind() == fsmpb.OpKind_OP_LEAVE_ALL || op.GetKind() == fsmpb.OpKind_OP_PRUNE || op.GetKind() == fsmpb.OpKind_OP_PURGE
	if nameless && rapid.IntRange(0, 9).Draw(m.T, "named") > 0 {
		op.Name = ""
	}
	if op.GetKind() == fsmpb.OpKind_OP_PURGE && rapid.IntRange(0, 9).Draw(m.T, "with a uid") > 0 {
		op.Uid = ""
	}
	return op
}

// ---- all reads

func (m *machine) compare() {
	if err := fsm.CheckIndexes(m.state); err != nil {
		m.Fatal(err)
	}
	want, got := m.model.reads(), m.reads()
	if diff := gocmp.Diff(want, got); diff != "" {
		m.Fatalf("reads at index %d (-want +got):\n%s", m.model.index, diff)
	}
	if diff := gocmp.Diff(m.model.answers(), answersOf(m.state)); diff != "" {
		m.Fatalf("answers at index %d (-want +got):\n%s", m.model.index, diff)
	}
}

// reads is everything that can be asked, in comparable order.
type reads struct {
	Index      uint64
	ClusterID  string
	External   bool
	Level      uint32
	Forgotten  uint64
	Voters     uint32
	Players    map[string][]string
	Records    map[string]fsm.Server
	Servers    []fsm.Server
	BySID      map[[2]string][]string
	ByType     map[[2]string][]string
	Targets    map[[2]string]map[string][]string
	Members    map[string][]fsm.Member
	Changed    map[string]uint64
	Statistics fsm.Stats
}

func newReads() reads {
	return reads{
		Records: map[string]fsm.Server{}, BySID: map[[2]string][]string{}, ByType: map[[2]string][]string{},
		Targets: map[[2]string]map[string][]string{}, Players: map[string][]string{}, Members: map[string][]fsm.Member{}, Changed: map[string]uint64{},
	}
}

func sortMembers(members []fsm.Member) []fsm.Member {
	slices.SortFunc(members, func(a, b fsm.Member) int {
		return cmp.Or(cmp.Compare(a.SID, b.SID), cmp.Compare(a.UID, b.UID))
	})
	return members
}

func (m *machine) reads() reads {
	s, r := m.state, newReads()
	r.Index, r.ClusterID, r.External = s.Index(), s.ClusterID(), s.Settings().GetExternalSids()
	r.Servers, r.Statistics = s.Servers(), s.Stats()
	r.Level, r.Forgotten, r.Voters = s.Level(), s.Forgotten(), s.Settings().GetMaxVoters()
	for _, sid := range someSIDs {
		r.Players[sid] = sorted(s.PlayersOn(sid).UIDs())
		if srv, ok := s.Server(sid); ok {
			r.Records[sid] = srv
		}
	}
	for _, name := range someNames {
		r.Members[name] = sortMembers(s.Members(name).Members())
		r.Changed[name] = s.Changed(name)
		for _, sid := range someSIDs {
			r.BySID[[2]string{name, sid}] = sorted(s.MembersBySID(name, sid).UIDs())
		}
		for _, stype := range someTypes {
			k := [2]string{name, stype}
			r.ByType[k] = sorted(s.MembersByType(name, stype).UIDs())
			r.Targets[k] = map[string][]string{}
			order := []string{}
			for _, t := range s.Targets(name, stype, nil) {
				t.Read()
				r.Targets[k][t.Server.SID] = sorted(t.UIDs)
				order = append(order, t.Server.SID)
			}
			if !slices.IsSorted(order) {
				m.Fatalf("targets of %v come as %v", k, order)
			}
		}
	}
	return r
}

func (m *model) reads() reads {
	r := newReads()
	r.Index, r.ClusterID, r.External = m.index, m.cluster, m.external
	r.Level, r.Forgotten, r.Voters = uint32(m.level), m.forgotten, m.limit
	r.Servers = []fsm.Server{}
	names, known, seen := map[string]bool{}, map[string]bool{}, m.seen()
	for k := range m.members {
		known[k.name] = true
	}
	for k := range seen {
		names[k.name] = true
	}
	for _, sid := range slices.Sorted(slices.Values(someSIDs)) {
		r.Players[sid] = []string{}
		if l := m.life(sid); l != nil {
			r.Records[sid] = l.server()
			if l.up {
				r.Servers = append(r.Servers, l.server())
			}
		}
	}
	r.Statistics = fsm.Stats{
		Channels: len(names), Memberships: len(seen), Parked: len(m.members) - len(seen), Servers: len(r.Servers),
	}
	for _, name := range someNames {
		r.Changed[name] = 0
		if known[name] {
			r.Changed[name] = m.changed[name]
		}
		r.Members[name] = nil
		for _, stype := range someTypes {
			r.ByType[[2]string{name, stype}] = []string{}
			r.Targets[[2]string{name, stype}] = map[string][]string{}
		}
		for _, sid := range someSIDs {
			r.BySID[[2]string{name, sid}] = m.uids(name, sid)
		}
	}
	for k, session := range seen {
		if !slices.Contains(r.Players[k.sid], k.uid) {
			r.Players[k.sid] = sorted(append(r.Players[k.sid], k.uid))
		}
		r.Members[k.name] = append(r.Members[k.name], fsm.Member{UID: k.uid, SID: k.sid, Session: session})
		if l := m.life(k.sid); l != nil {
			by := [2]string{k.name, l.stype}
			if !slices.Contains(r.ByType[by], k.uid) {
				r.ByType[by] = sorted(append(r.ByType[by], k.uid))
			}
			r.Targets[by][k.sid] = m.uids(k.name, k.sid)
		}
	}
	for name := range maps.Clone(r.Members) {
		sortMembers(r.Members[name])
	}
	return r
}

func (m *model) uids(name, sid string) []string {
	uids := []string{}
	for k := range m.seen() {
		if k.name == name && k.sid == sid {
			uids = append(uids, k.uid)
		}
	}
	return sorted(uids)
}

func (m *machine) bytes(s *fsm.State) []byte {
	var buf bytes.Buffer
	if _, err := s.WriteSnapshot(&buf); err != nil {
		m.Fatalf("snapshot: %v", err)
	}
	return buf.Bytes()
}
