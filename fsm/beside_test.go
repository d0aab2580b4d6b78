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

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// ask gives what Reads say about a channel, a player and a server, a line each.
func ask(s Reads, name, uid, sid string) []string {
	lines := []string{
		fmt.Sprint("index ", s.Index()),
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

// besideWorld is a state that entries are applied to beside reads, and one that gets each
// of them afterwards.
type besideWorld struct {
	*testing.T
	play          *play
	still, moving *State
	lists         []promise
	beside        int // how often both were compared within an entry
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
		o := w.play.op()
		name, uid, sid := fmt.Sprint("c", w.play.rng.IntN(25)), fmt.Sprint("u", w.play.rng.IntN(60)), o.GetSid()
		if w.play.rng.IntN(40) == 0 {
			name = "big"
		}
		if got, want := ask(w.moving, name, uid, sid), ask(w.still, name, uid, sid); !slices.Equal(got, want) {
			w.Fatalf("index %d beside the entry after it, channel %s, player %s, server %s:\n%s", w.still.index, name, uid, sid, gocmp.Diff(want, got))
		}
	}
	if w.play.rng.IntN(50) == 0 {
		want := w.still.MembersBySID("big", "a").UIDs()
		w.lists = append(w.lists, promise{w.moving.MembersBySID("big", "a"), want})
	}
	for len(w.lists) > 0 && w.play.rng.IntN(30) == 0 {
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

// grouped puts the operations of an entry into groups of some.
func grouped(e *fsmpb.Entry, rng *rand.Rand) {
	for _, b := range e.GetBatches().GetBatches() {
		var groups []*fsmpb.Group
		for _, g := range b.GetGroups() {
			if last := len(groups) - 1; last >= 0 && rng.IntN(3) == 0 {
				groups[last].Ops = append(groups[last].Ops, g.GetOps()...)
				continue
			}
			groups = append(groups, g)
		}
		b.Groups = groups
	}
}

// Whatever an entry has done already, reads beside it show the state before it.
func TestBeside_ReadsAreOfTheIndexBefore(t *testing.T) {
	step := uint64(1)
	if RaceDetector {
		step = 8
	}
	beside := 0
	for seed := uint64(0); seed < 40; seed += step {
		w := &besideWorld{T: t, play: newPlay(seed), still: NewState(), moving: NewState()}
		for range 150 {
			index, e := w.play.next()
			grouped(e, w.play.rng)
			var gate sync.Mutex
			gate.Lock()
			applyBeside(t, w.moving, &gate, index, e, func() {
				w.compare()
				w.beside++
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
	if want := 10000 / int(step); beside < want {
		t.Errorf("compared %d times within an entry, want %d at least", beside, want)
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
