package fsm

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/fsm/internal/snapfile"
)

// crowded is a state with a server a, and n members of a sid that never registered:
// one in each of n channels, or all in one.
type crowded struct {
	*testing.T
	s      *State
	number uint64
}

func newCrowded(t *testing.T, n int, name func(i int) string) *crowded {
	c := &crowded{T: t, s: NewState()}
	c.apply(&fsmpb.Entry{Command: &fsmpb.Entry_Found{Found: &fsmpb.Found{ClusterId: "c", Generation: 1, Settings: &fsmpb.Settings{ExternalSids: true}}}})
	c.apply(&fsmpb.Entry{Command: &fsmpb.Entry_ServerUp{ServerUp: &fsmpb.ServerUp{Sid: "a", Stype: "t", NodeId: "n", Incarnation: "i"}}})
	for i := 0; i < n; i += 2000 {
		var ops []*fsmpb.Op
		for j := i; j < min(n, i+2000); j++ {
			ops = append(ops, &fsmpb.Op{Kind: fsmpb.OpKind_OP_ADD, Name: name(j), Uid: fmt.Sprint("u", j), Sid: "outside"})
		}
		c.do(ops...)
	}
	return c
}

func (c *crowded) apply(e *fsmpb.Entry) {
	c.Helper()
	e.Version = Version
	r := c.s.Apply(c.s.Index()+1, e)
	if r.Err != nil || len(r.Batches) > 0 && (r.Batches[0].Outcome != BatchApplied || bytes.ContainsFunc(r.Batches[0].Results, func(code rune) bool { return refused(OpResult(code)) })) {
		c.Fatalf("result %+v", r)
	}
}

func (c *crowded) do(ops ...*fsmpb.Op) {
	c.Helper()
	c.number++
	b := &fsmpb.Batch{OriginSid: "a", OriginEpoch: 1<<48 | 2, Number: c.number, Groups: []*fsmpb.Group{{Seen: c.s.Index(), Ops: ops}}}
	if len(ops) == 0 {
		b.Groups = nil
	}
	c.apply(&fsmpb.Entry{Command: &fsmpb.Entry_Batches{Batches: &fsmpb.Batches{Batches: []*fsmpb.Batch{b}}}})
}

// held counts what is kept of players, channels and sids.
func (c *crowded) held() (n int) {
	for i := range shards {
		p, cs := c.s.players[i], c.s.channels[i]
		n += p.texts.Len() + cs.names.Len()
		for _, ch := range cs.byID {
			if ch != nil {
				n++
			}
		}
	}
	g := &c.s.garbage
	for _, l := range g.limbo {
		n += len(l.players) + len(l.channels) + len(l.sids)
	}
	return n + len(c.s.sids.byName) + len(g.dead) + len(g.orphans)
}

// sweep applies empty entries, and says how many it took until nothing was left.
func (c *crowded) sweep(most int) (entries int) {
	c.Helper()
	for ; c.held() > 0; entries++ {
		if entries > most {
			c.Fatalf("%d things are kept after %d entries", c.held(), entries)
		}
		c.do()
		if err := CheckIndexes(c.s); err != nil && entries%7 == 0 {
			c.Fatal(err)
		}
	}
	return entries
}

func inOne(int) string { return "big" }

func inMany(i int) string { return fmt.Sprint("c", i) }

func TestState_DestroyedMembersAreGoneAtOnceAndSweptBitByBit(t *testing.T) {
	const n = 20_000
	c := newCrowded(t, n, inOne)
	c.do(&fsmpb.Op{Kind: fsmpb.OpKind_OP_DESTROY, Name: "big"})
	if got := c.s.Count("big") + len(c.s.ChannelsOf("u7")) + len(c.s.SIDsOf("u7")) + c.s.Stats().Memberships; got != 0 || c.s.Contains("big", "u7") {
		t.Error("something is seen of a channel that was destroyed")
	}
	if c.held() < n/2 {
		t.Errorf("%d things are kept: it was swept in one go", c.held())
	}
	c.do(&fsmpb.Op{Kind: fsmpb.OpKind_OP_ADD, Name: "big", Uid: "u7", Sid: "outside"}) // while the old one is there yet
	if got := c.s.MembersBySID("big", "outside").UIDs(); len(got) != 1 || c.s.Count("big") != 1 {
		t.Errorf("members of the new channel: %v", got)
	}
	c.do(&fsmpb.Op{Kind: fsmpb.OpKind_OP_LEAVE, Name: "big", Uid: "u7", Sid: "outside"})
	if entries := c.sweep(n); entries < n/sweepWays-2 {
		t.Errorf("swept by %d entries", entries)
	}
}

func TestState_SweepWaitsForACaptureAndGoesOnAfterIt(t *testing.T) {
	c := newCrowded(t, 5000, inOne)
	capture := c.s.begin()
	c.do(&fsmpb.Op{Kind: fsmpb.OpKind_OP_DESTROY, Name: "big"})
	for range 20 {
		c.do()
	}
	if c.held() < 5000 {
		t.Errorf("%d things are kept: a capture could not read what it has to", c.held())
	}
	capture.release()
	c.sweep(20)
}

// A player of whom only garbage is left is in no capture.
func TestState_CapturesHaveNothingThatIsNotSweptYet(t *testing.T) {
	c := newCrowded(t, 5000, inOne)
	c.do(&fsmpb.Op{Kind: fsmpb.OpKind_OP_ADD, Name: "hall", Uid: "stays", Sid: "outside"})
	c.do(&fsmpb.Op{Kind: fsmpb.OpKind_OP_DESTROY, Name: "big"})
	if c.held() < 2000 {
		t.Fatalf("%d things are kept: all was swept at once", c.held())
	}
	capture, players := c.s.begin(), 0
	defer capture.release()
	err := capture.sections(context.Background(), func(kind snapfile.Kind, _ uint32, raw []byte) error {
		if kind != snapfile.Players {
			return nil
		}
		return snapfile.DecodePlayers(raw, capture.index, 1, func(uint32, []byte, []snapfile.Pair) error {
			players++
			return nil
		})
	})
	if err != nil || players != 1 {
		t.Errorf("%d players (%v), want the one that is in a channel", players, err)
	}
}

// How many channels there are is the same on a replica that was restored in the middle
// of a sweep, at every index, or the limits would differ.
func TestState_ChannelsAreCountedAlikeInTheMiddleOfASweep(t *testing.T) {
	const n = 3000
	c := newCrowded(t, n, inMany)
	c.do(&fsmpb.Op{Kind: fsmpb.OpKind_OP_PURGE, Sid: "outside"})
	if got := c.s.Channels("", "", 5); len(got) != 0 || c.s.Stats().Memberships != 0 {
		t.Errorf("channels %v are seen after the purge", got)
	}
	var file bytes.Buffer
	if _, err := c.s.WriteSnapshot(&file); err != nil {
		t.Fatal(err)
	}
	restored, err := ReadSnapshot(&file)
	if err != nil {
		t.Fatal(err)
	}
	if _, channels := c.s.totals(); channels != n {
		t.Errorf("%d channels are counted right after a purge that is too large for one entry, want %d yet", channels, n)
	}
	other := &crowded{T: t, s: restored, number: c.number}
	for i := range n/sweepCells + 3 {
		op := &fsmpb.Op{Kind: fsmpb.OpKind_OP_ADD, Name: fmt.Sprint("new", i%3), Uid: "u", Sid: "a", Epoch: 1<<48 | 2}
		if i%2 == 1 {
			op.Kind = fsmpb.OpKind_OP_LEAVE
		}
		c.do(op)
		other.do(op)
		_, one := c.s.totals()
		if _, two := other.s.totals(); one != two {
			t.Fatalf("%d entries after the purge: %d channels, and %d on the restored one", i, one, two)
		}
	}
	if _, channels := c.s.totals(); channels != c.s.Stats().Channels {
		t.Errorf("%d channels are counted in the end, %d are there", channels, c.s.Stats().Channels)
	}
}

// A sid that only garbage needs is there on one replica and not on another, so a purge
// of it must not count as anything.
func TestState_PurgeOfWhatIsOnlyGarbageCountsNothing(t *testing.T) {
	const n = 8 * sweepCells
	c := newCrowded(t, n, inMany)
	c.do(&fsmpb.Op{Kind: fsmpb.OpKind_OP_ADD, Name: "room", Uid: "u", Sid: "gone"})
	held := c.s.begin() // holds the sweep up, on this replica alone
	defer held.release()
	c.do(&fsmpb.Op{Kind: fsmpb.OpKind_OP_DESTROY, Name: "room"})
	c.do(&fsmpb.Op{Kind: fsmpb.OpKind_OP_PURGE, Sid: "outside"})

	var file bytes.Buffer
	if _, err := c.s.WriteSnapshot(&file); err != nil {
		t.Fatal(err)
	}
	restored, err := ReadSnapshot(&file)
	if err != nil {
		t.Fatal(err)
	}
	other := &crowded{T: t, s: restored, number: c.number}
	for i := range 4 {
		op := &fsmpb.Op{Kind: fsmpb.OpKind_OP_PURGE, Sid: "gone"}
		if i > 0 {
			op = &fsmpb.Op{Kind: fsmpb.OpKind_OP_ADD, Name: fmt.Sprint("new", i), Uid: "u", Sid: "gone"}
		}
		c.do(op)
		other.do(op)
		_, one := c.s.totals()
		if _, two := other.s.totals(); one != two || c.s.count.unswept != other.s.count.unswept {
			t.Fatalf("entry %d: %d channels and %d cells to sweep, %d and %d on the restored one",
				i, one, c.s.count.unswept, two, other.s.count.unswept)
		}
	}
}

// The countdown of purged cells depends on the order of purges, so that must not be the
// order of a map.
func TestState_LivesThatEndTogetherAreCountedAlikeEverywhere(t *testing.T) {
	const few, many = 10, 5 * sweepCells
	down := func(sid string, epoch uint64) *fsmpb.Entry {
		return &fsmpb.Entry{Command: &fsmpb.Entry_ServerDown{ServerDown: &fsmpb.ServerDown{Sid: sid, Epoch: epoch}}}
	}
	filled := func(t *testing.T, via string) *crowded { // lives at 3 and 4
		c := newCrowded(t, 0, inMany)
		for _, sid := range []string{"x", "y"} {
			up := &fsmpb.ServerUp{Sid: sid, Stype: "t", NodeId: "n", Incarnation: "i", Via: via}
			if via != "" {
				up.ViaEpoch = 1<<48 | 2
			}
			c.apply(&fsmpb.Entry{Command: &fsmpb.Entry_ServerUp{ServerUp: up}})
		}
		for i := range few + many {
			sid, epoch := "x", uint64(1<<48|3)
			if i >= few {
				sid, epoch = "y", 1<<48|4
			}
			c.do(&fsmpb.Op{Kind: fsmpb.OpKind_OP_ADD, Name: inMany(i), Uid: "u", Sid: sid, Epoch: epoch})
		}
		return c
	}
	for name, end := range map[string]struct {
		via string
		do  func(c *crowded)
	}{
		"forgotten": {"", func(c *crowded) {
			c.apply(down("x", 1<<48|3))
			c.apply(down("y", 1<<48|4))
			c.apply(&fsmpb.Entry{Command: &fsmpb.Entry_Forget{Forget: &fsmpb.Forget{Index: c.s.Index()}}})
		}},
		"purged with their agent by an old entry": {"a", func(c *crowded) {
			e := down("a", 1<<48|2)
			e.Version = parkingLevel - 1
			if r := c.s.Apply(c.s.Index()+1, e); r.Err != nil {
				c.Fatal(r.Err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			unswept := make(map[int]bool)
			for range 12 {
				c := filled(t, end.via)
				end.do(c)
				unswept[c.s.count.unswept] = true
			}
			if len(unswept) != 1 || unswept[0] { // or there was nothing to count
				t.Errorf("cells to be swept: %v, want one number", unswept)
			}
		})
	}
}
