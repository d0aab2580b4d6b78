package fsm

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// ask gives what Reads say about a channel, a player and a server, a line each.
func ask(s Reads, name, uid, sid string) []string {
	lines := []string{
		fmt.Sprint("index ", s.Index(), " level ", s.Level(), " settings at ", s.SettingsIndex()),
		fmt.Sprint("members ", inOrder(s.Members(name).Members())),
		fmt.Sprint("members of ", inOrder(s.MembersOf(name, uid))),
		fmt.Sprint("members by sid ", inOrder(s.MembersBySID(name, sid).UIDs())),
		fmt.Sprint("members by type ", inOrder(s.MembersByType(name, "connector").UIDs())),
		fmt.Sprint("contains ", s.Contains(name, uid)),
		fmt.Sprint("count ", s.Count(name)),
		fmt.Sprint("count by sid ", s.CountBySID(name, sid)),
		fmt.Sprint("changed ", s.Changed(name)),
		fmt.Sprint("channels of ", inOrder(s.ChannelsOf(uid))),
		fmt.Sprint("sids of ", inOrder(s.SIDsOf(uid))),
		fmt.Sprint("where ", s.Where(uid)),
		fmt.Sprint("stamp ", stampText(s.Stamp(name))),
		fmt.Sprint("stamp by sid ", stampText(s.StampBySID(name, sid))),
	}
	for _, counted := range s.TargetCounts(name, "connector") {
		lines = append(lines, fmt.Sprint("target ", counted.Server.SID, counted.Members, stampText(counted.Stamp)))
	}
	for _, t := range s.Targets(name, "connector", nil) {
		t.Read()
		lines = append(lines, fmt.Sprint("target ", t.Server.SID, t.Members, stampText(t.Stamp), inOrder(t.UIDs)))
	}
	return lines
}

func stampText(s Stamp) string { return fmt.Sprint(s.changed, " ", s.records) }

// inOrder are the texts of some things, in an order that compares.
func inOrder[T any](things []T) []string {
	texts := make([]string, 0, len(things))
	for _, t := range things {
		texts = append(texts, fmt.Sprint(t))
	}
	slices.Sort(texts)
	return texts
}

// churn is a row of entries in which few members come and go, in few channels, again and
// again. Each server has some more, so that none of them comes or goes itself.
type churn struct {
	*play
	ground bool // entry by entry: the members who stay
}

func (c *churn) next() (uint64, *fsmpb.Entry) {
	if c.index < 6 || c.ground && c.rng.IntN(15) == 0 {
		index, e := c.play.next()
		c.ground = c.ground && e.GetBatches() != nil && e.GetBatches().GetBatches()[0].GetGroups()[0].GetOps()[0].GetKind() != fsmpb.OpKind_OP_DESTROY_ALL
		return index, e
	}
	c.index++
	c.number++
	b := &fsmpb.Batch{OriginSid: "a", OriginEpoch: c.epochs["a"], Number: c.number}
	if !c.ground || c.rng.IntN(10) == 0 { // who was purged comes back
		b.Groups = c.stay()
		c.ground = true
	}
	groups, only := c.rng.IntN(12), ""
	if c.rng.IntN(10) == 0 { // more than fewNotes in one channel
		groups, only = 40, []string{"c0", "d0"}[c.rng.IntN(2)]
	}
	for range groups {
		g := &fsmpb.Group{Seen: c.index - 1}
		for range 1 + c.rng.IntN(3) {
			g.Ops = append(g.Ops, c.op(only))
		}
		b.Groups = append(b.Groups, g)
	}
	return c.index, &fsmpb.Entry{Version: Version, Command: &fsmpb.Entry_Batches{Batches: &fsmpb.Batches{Batches: []*fsmpb.Batch{b}}}}
}

// stay are members on each server.
func (c *churn) stay() (groups []*fsmpb.Group) {
	add := func(name, uid, sid string) {
		o := &fsmpb.Op{Kind: fsmpb.OpKind_OP_ADD, Name: name, Uid: uid, Sid: sid, Epoch: c.epochs[sid]}
		groups = append(groups, &fsmpb.Group{Seen: c.index - 1, Ops: []*fsmpb.Op{o}})
	}
	for i := range 8 {
		for _, sid := range append([]string{"outside"}, playSIDs...) {
			add("ground", fmt.Sprint("g", i), sid)
		}
	}
	return groups
}

func (c *churn) op(only string) *fsmpb.Op {
	name, uid, sid := c.names()
	if only != "" {
		name = only
	}
	o := &fsmpb.Op{Kind: fsmpb.OpKind_OP_ADD, Name: name, Uid: uid, Sid: sid, Epoch: c.epochs[sid], Session: uint64(c.rng.IntN(3))}
	switch n := c.rng.IntN(400); {
	case n < 3:
		return &fsmpb.Op{Kind: fsmpb.OpKind_OP_PURGE, Sid: "outside"} // where it is alone in its group
	case n < 200 || name[0] == 'd' && n < 260 || sid == "rare" && n < 260:
		o.Kind = fsmpb.OpKind_OP_LEAVE
	}
	return o
}

func (c *churn) names() (name, uid, sid string) {
	name, uid = fmt.Sprint("c", c.rng.IntN(8)), fmt.Sprint("u", c.rng.IntN(10))
	if c.rng.IntN(3) == 0 { // that is mostly empty
		name = fmt.Sprint("d", c.rng.IntN(12))
	}
	if c.rng.IntN(3) == 0 { // who is mostly nowhere
		uid = fmt.Sprint("v", c.rng.IntN(40))
	}
	sid = append([]string{"outside"}, playSIDs...)[c.rng.IntN(1+len(playSIDs))]
	if c.rng.IntN(20) == 0 {
		return "d0", "v0", "rare" // nobody else is there
	}
	return name, uid, sid
}

// names are those of something that an entry may be about.
func (p *play) names() (name, uid, sid string) {
	name, uid = fmt.Sprint("c", p.rng.IntN(25)), fmt.Sprint("u", p.rng.IntN(60))
	if p.rng.IntN(40) == 0 {
		name = "big"
	}
	return name, uid, p.op().GetSid()
}

// entries is a row of them.
type entries interface {
	next() (uint64, *fsmpb.Entry)
	names() (name, uid, sid string)
}

// besideWorld is a state that entries are applied to beside reads, and one that gets each
// of them afterwards.
type besideWorld struct {
	*testing.T
	entries
	rng           *rand.Rand
	still, moving *State
	lists         []promise
	about         []*fsmpb.Op // of the entry
	beside        int         // how often both were compared within an entry
}

// promise is a list that is read later.
type promise struct {
	list List
	want []string
}

// applyBeside does what State.apply does, and calls between after each group that reads go
// on beside. The gate is locked.
func applyBeside(t *testing.T, s *State, gate sync.Locker, index uint64, e *fsmpb.Entry, between func()) {
	t.Helper()
	if e.GetBatches() == nil {
		if r := s.Apply(index, e); r.Err != nil {
			t.Fatal(r.Err)
		}
		return
	}
	s.letReadsIn(gate)
	r := run{state: s, version: e.GetVersion(), real: &ledger{State: s, at: index}}
	for _, b := range batchesOf(e.GetBatches()) {
		origin := s.servers[string(b.originSID)]
		if b.number != origin.lastNumber+1 {
			t.Fatalf("batch %d after %d", b.number, origin.lastNumber)
		}
		var results []byte
		for i := range b.groups {
			s.warm(b.groups[i:])
			results = r.group(origin, &b.groups[i], results)
			if s.gate != nil {
				between()
			}
		}
		origin.keep(Window, answered{index: index, results: results})
	}
	s.keepReadsOut()
	s.sweep(index)
	s.index = index
}

func (w *besideWorld) compare() {
	w.Helper()
	for range 3 {
		name, uid, sid := w.names()
		if len(w.about) > 0 && w.rng.IntN(2) == 0 {
			if o := w.about[w.rng.IntN(len(w.about))]; o.GetName() != "big" {
				name, uid, sid = o.GetName(), o.GetUid(), o.GetSid()
			}
		}
		if got, want := ask(w.moving, name, uid, sid), ask(w.still, name, uid, sid); !slices.Equal(got, want) {
			w.Fatalf("index %d beside the entry after it, channel %s, player %s, server %s:\n%s", w.still.index, name, uid, sid, gocmp.Diff(want, got))
		}
	}
	if w.rng.IntN(50) == 0 {
		want := w.still.MembersBySID("big", "a").UIDs()
		w.lists = append(w.lists, promise{w.moving.MembersBySID("big", "a"), want})
	}
	for len(w.lists) > 0 && w.rng.IntN(30) == 0 {
		p := w.lists[0]
		w.lists = w.lists[1:]
		if got := p.list.UIDs(); !slices.Equal(inOrder(got), inOrder(p.want)) {
			w.Fatalf("a list of %d, read later, has %d", len(p.want), len(got))
		}
	}
}

// forgotten says that no note is left.
func (w *besideWorld) forgotten() {
	w.Helper()
	if err := CheckIndexes(w.moving); err != nil {
		w.Fatal(err)
	}
	for i := range shards {
		p, cs := w.moving.players[i], w.moving.channels[i]
		noted := slices.ContainsFunc(cs.byID, func(c *channel) bool { return c != nil && c.noted != 0 })
		if noted || len(p.gone)+len(p.departed)+len(cs.gone)+len(cs.notes) > 0 {
			w.Fatal("notes of an entry that is over")
		}
	}
}

// grouped puts the operations of an entry into groups of some, and returns them.
func grouped(e *fsmpb.Entry, rng *rand.Rand) (ops []*fsmpb.Op) {
	for _, b := range e.GetBatches().GetBatches() {
		var groups []*fsmpb.Group
		for _, g := range b.GetGroups() {
			ops = append(ops, g.GetOps()...)
			if last := len(groups) - 1; last >= 0 && rng.IntN(3) == 0 {
				groups[last].Ops = append(groups[last].Ops, g.GetOps()...)
				continue
			}
			groups = append(groups, g)
		}
		b.Groups = groups
	}
	return ops
}

// Whatever an entry has done already, reads beside it show the state before it.
func TestBeside_ReadsAreOfTheIndexBefore(t *testing.T) {
	step := uint64(1)
	if RaceDetector {
		step = 8
	}
	beside := 0
	for seed := uint64(0); seed < 30; seed += step {
		p := newPlay(seed)
		w := &besideWorld{T: t, entries: p, rng: p.rng, still: NewState(), moving: NewState()}
		if seed/step%2 == 1 {
			w.entries = &churn{play: p}
		}
		for range 150 {
			index, e := w.next()
			w.about = grouped(e, w.rng)
			var gate sync.Mutex
			gate.Lock()
			many := proto.Size(e) / 2000 // then not after each of them
			applyBeside(t, w.moving, &gate, index, e, func() {
				if w.rng.IntN(1+many) == 0 {
					w.compare()
					w.beside++
				}
			})
			if r := w.still.Apply(index, e); r.Err != nil {
				t.Fatal(r.Err)
			}
			w.compare()
			w.forgotten()
		}
		for _, p := range w.lists {
			p.list.UIDs()
		}
		if !w.moving.pins.none() {
			t.Fatalf("seed %d: pins are left", seed)
		}
		beside += w.beside
	}
	if want := 8000 / int(step); beside < want {
		t.Errorf("compared %d times within an entry, want %d at least", beside, want)
	}
}

// A purge has ended a channel, and what it left is not cleared away yet. The entry begins the
// channel anew: before it there was none.
func TestBeside_ChannelThatAPurgeHasEnded(t *testing.T) {
	const channels = 12 * sweepCells // about two pages of them are swept with the purge
	s, p := NewState(), newPlay(1)
	apply := func(groups ...*fsmpb.Group) {
		p.number++
		b := &fsmpb.Batch{OriginSid: "a", OriginEpoch: p.epochs["a"], Number: p.number, Groups: groups}
		e := &fsmpb.Entry{Version: Version, Command: &fsmpb.Entry_Batches{Batches: &fsmpb.Batches{Batches: []*fsmpb.Batch{b}}}}
		p.index++
		var gate sync.Mutex
		gate.Lock()
		applyBeside(t, s, &gate, p.index, e, func() {})
	}
	group := func(kind fsmpb.OpKind, name, uid, sid string) *fsmpb.Group {
		o := &fsmpb.Op{Kind: kind, Name: name, Uid: uid, Sid: sid, Epoch: p.epochs[sid]}
		return &fsmpb.Group{Seen: p.index, Ops: []*fsmpb.Op{o}}
	}
	p.run(t, s, 5)
	for i := range channels {
		apply(group(fsmpb.OpKind_OP_ADD, fmt.Sprint("d", i), "u", "outside"), group(fsmpb.OpKind_OP_ADD, "stays", "u", "b"), group(fsmpb.OpKind_OP_ADD, "stays", "v", "b"))
	}
	apply(group(fsmpb.OpKind_OP_PURGE, "", "", "outside"))
	left := 0
	var again []*fsmpb.Group
	for i := range channels {
		if name := fmt.Sprint("d", i); s.channels[shardOfString(name)].findString(name) != nil {
			left++
			again = append(again, group(fsmpb.OpKind_OP_ADD, name, "u", "b"))
		}
	}
	if left == 0 {
		t.Fatal("all is swept")
	}
	p.number++
	b := &fsmpb.Batch{OriginSid: "a", OriginEpoch: p.epochs["a"], Number: p.number, Groups: again}
	e := &fsmpb.Entry{Version: Version, Command: &fsmpb.Entry_Batches{Batches: &fsmpb.Batches{Batches: []*fsmpb.Batch{b}}}}
	var gate sync.Mutex
	gate.Lock()
	began := 0
	applyBeside(t, s, &gate, p.index+1, e, func() {
		name := again[began].GetOps()[0].GetName()
		if changed, n := s.Changed(name), s.Count(name); changed != 0 || n != 0 {
			t.Fatalf("channel %s, which the entry begins, changed at %d and has %d members", name, changed, n)
		}
		began++
	})
	if began != left {
		t.Errorf("looked at %d channels beside the entry, want %d", began, left)
	}
}

// Ids that have gone with entries beside reads are given to others, however many go with each.
func TestBeside_IdsAreUsedAgain(t *testing.T) {
	const atOnce, entries = 3 * sweepWays, 12
	s, p := NewState(), newPlay(1)
	p.run(t, s, 5)
	next := 0
	apply := func(leave bool) {
		p.number++
		p.index++
		b := &fsmpb.Batch{OriginSid: "a", OriginEpoch: p.epochs["a"], Number: p.number}
		add := func(kind fsmpb.OpKind, i int) {
			o := &fsmpb.Op{Kind: kind, Name: fmt.Sprint("room", i%500), Uid: fmt.Sprint("u", i), Sid: "a", Epoch: p.epochs["a"]}
			b.Groups = append(b.Groups, &fsmpb.Group{Seen: p.index - 1, Ops: []*fsmpb.Op{o}})
		}
		for range atOnce {
			add(fsmpb.OpKind_OP_ADD, next)
			if leave {
				add(fsmpb.OpKind_OP_LEAVE, next-atOnce)
			}
			next++
		}
		e := &fsmpb.Entry{Version: Version, Command: &fsmpb.Entry_Batches{Batches: &fsmpb.Batches{Batches: []*fsmpb.Batch{b}}}}
		var gate sync.Mutex
		gate.Lock()
		applyBeside(t, s, &gate, p.index, e, func() {})
	}
	apply(false)
	for range entries {
		apply(true)
	}
	ids := 0
	for _, p := range s.players {
		ids += int(p.texts.Cap())
	}
	if limit := 5 * atOnce; s.Stats().Memberships != atOnce || ids > limit {
		t.Errorf("%d players after %d entries of so many who come and go: %d ids were given, want %d at most", s.Stats().Memberships, entries, ids, limit)
	}
}

// Reads beside an entry show the level before it, so they wait for one that raises it.
func TestReplica_ReadsWaitForAnEntryThatRaisesTheLevel(t *testing.T) {
	r := NewReplica()
	c := command{version: firstLevel + 1, batches: []batch{{count: besideOps}}}
	r.Read(func(Reads) {})
	if r.readsGoOn(&c) {
		t.Error("they go on beside the first entry of a level")
	}
	r.state.level = c.version
	if !r.readsGoOn(&c) {
		t.Error("they wait for the second one, too")
	}
}

// sample is what a reader saw, for the one who knows what it should have seen.
type sample struct {
	index          uint64
	name, uid, sid string
	lines          []string
}

// sampler reads until it is stopped.
type sampler struct {
	replica *Replica
	rng     *rand.Rand
	seen    []sample
	reads   atomic.Int64
}

func (sm *sampler) read(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		sam := sample{name: fmt.Sprint("c", sm.rng.IntN(25)), uid: fmt.Sprint("u", sm.rng.IntN(60)), sid: playSIDs[sm.rng.IntN(len(playSIDs))]}
		sm.replica.Read(func(s Reads) { sam.index, sam.lines = s.Index(), ask(s, sam.name, sam.uid, sam.sid) })
		if sm.rng.IntN(8) == 0 {
			sm.seen = append(sm.seen, sam)
		}
		sm.reads.Add(1)
	}
}

// Readers and the writer at the same time: each read is of one index.
func TestReplica_ReadsBesideEntriesAreOfOneIndex(t *testing.T) {
	r := NewReplica()
	p := newPlay(3)
	samplers := make([]*sampler, 2)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for i := range samplers {
		samplers[i] = &sampler{replica: r, rng: rand.New(rand.NewPCG(9, uint64(i)))}
		readers.Go(func() { samplers[i].read(stop) })
	}
	entries := make([]*fsmpb.Entry, 120)
	for i := range entries {
		index, e := p.next()
		grouped(e, p.rng)
		entries[i] = e
		r.lock()
		applyBeside(t, r.state, &r.mu, index, e, func() {
			for _, sm := range samplers { // each gets on, and goes on while the next group is applied
				for before := sm.reads.Load(); sm.reads.Load() == before; {
					runtime.Gosched()
				}
			}
		})
		r.unlock()
	}
	close(stop)
	readers.Wait()

	seen := slices.Concat(samplers[0].seen, samplers[1].seen)
	slices.SortStableFunc(seen, func(a, b sample) int { return cmp.Compare(a.index, b.index) })
	still := NewState()
	for _, sam := range seen {
		for still.Index() < sam.index {
			if got := still.Apply(still.Index()+1, entries[still.Index()]); got.Err != nil {
				t.Fatal(got.Err)
			}
		}
		if want := ask(still, sam.name, sam.uid, sam.sid); !slices.Equal(sam.lines, want) {
			t.Fatalf("index %d, channel %s, player %s, server %s:\n%s", sam.index, sam.name, sam.uid, sam.sid, gocmp.Diff(want, sam.lines))
		}
	}
	r.View(func(s *State) {
		if err := CheckIndexes(s); err != nil || !s.pins.none() {
			t.Errorf("afterwards: %v, pins: %v", err, !s.pins.none())
		}
	})
}
