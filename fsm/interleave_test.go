package fsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/fsm/internal/snapfile"
)

// play is a row of random entries, the same for the same seed.
type play struct {
	rng    *rand.Rand
	index  uint64
	epochs map[string]uint64 // lives that are up
	ended  map[string]uint64
	number uint64
	live   int // of incarnations
}

var playSIDs = []string{"a", "b", "c", "d"}

func newPlay(seed uint64) *play {
	return &play{rng: rand.New(rand.NewPCG(seed, 7)), epochs: map[string]uint64{}, ended: map[string]uint64{}}
}

// next is an entry that is mostly a batch of server a, which never ends.
func (p *play) next() (uint64, *fsmpb.Entry) {
	p.index++
	e := &fsmpb.Entry{Version: Version}
	switch {
	case p.index == 1:
		e.Command = &fsmpb.Entry_Found{Found: &fsmpb.Found{ClusterId: "c", Generation: 1, Settings: &fsmpb.Settings{ExternalSids: true}}}
	case p.index <= 5:
		p.up(e, playSIDs[p.index-2])
	case p.rng.IntN(12) == 0:
		sid := playSIDs[1+p.rng.IntN(3)]
		if epoch := p.epochs[sid]; epoch != 0 {
			e.Command = &fsmpb.Entry_ServerDown{ServerDown: &fsmpb.ServerDown{Sid: sid, Epoch: epoch}}
			p.ended[sid] = epoch
			delete(p.epochs, sid)
		} else {
			p.up(e, sid)
		}
	case p.rng.IntN(40) == 0:
		e.Command = &fsmpb.Entry_Forget{Forget: &fsmpb.Forget{Index: p.index - 1}}
	default:
		p.batch(e)
	}
	if p.index == 6 { // more than a page
		p.fill(e)
	}
	return p.index, e
}

// up registers a sid, sometimes the same process again.
func (p *play) up(e *fsmpb.Entry, sid string) {
	up := &fsmpb.ServerUp{Sid: sid, Stype: "connector", NodeId: "n" + sid, Incarnation: fmt.Sprint("i", p.live), Seen: 1 << 40}
	if p.rng.IntN(2) == 0 {
		up.Resume = &fsmpb.Resume{Epoch: p.ended[sid]}
	} else {
		p.live++
	}
	p.epochs[sid] = 1<<48 | p.index
	e.Command = &fsmpb.Entry_ServerUp{ServerUp: up}
}

func (p *play) batch(e *fsmpb.Entry) {
	p.number++
	b := &fsmpb.Batch{OriginSid: "a", OriginEpoch: p.epochs["a"], Number: p.number}
	for range 1 + p.rng.IntN(30) {
		b.Groups = append(b.Groups, &fsmpb.Group{Seen: p.index - 1, Ops: []*fsmpb.Op{p.op()}})
	}
	e.Command = &fsmpb.Entry_Batches{Batches: &fsmpb.Batches{Batches: []*fsmpb.Batch{b}}}
}

func (p *play) fill(e *fsmpb.Entry) {
	g := &fsmpb.Group{Seen: p.index - 1}
	for i := range 2400 {
		sid := playSIDs[i%3/2] // twice as many on a as on b
		g.Ops = append(g.Ops, &fsmpb.Op{Kind: fsmpb.OpKind_OP_ADD, Name: "big", Uid: fmt.Sprint("u", i), Sid: sid, Epoch: p.epochs[sid]})
	}
	p.number = 1
	b := &fsmpb.Batch{OriginSid: "a", OriginEpoch: p.epochs["a"], Number: 1, Groups: []*fsmpb.Group{g}}
	e.Command = &fsmpb.Entry_Batches{Batches: &fsmpb.Batches{Batches: []*fsmpb.Batch{b}}}
}

func (p *play) op() *fsmpb.Op {
	sid := playSIDs[p.rng.IntN(len(playSIDs))]
	o := &fsmpb.Op{Uid: fmt.Sprint("u", p.rng.IntN(60)), Sid: sid, Epoch: p.epochs[sid], Name: fmt.Sprint("c", p.rng.IntN(25))}
	if p.rng.IntN(4) == 0 {
		o.Name, o.Uid = "big", fmt.Sprint("u", p.rng.IntN(3000))
	}
	if p.rng.IntN(8) == 0 {
		o.Sid, o.Epoch = "outside", 0
	}
	if p.rng.IntN(5) == 0 {
		o.Session = uint64(p.rng.IntN(3))
	}
	switch n := p.rng.IntN(300); {
	case n < 190:
		o.Kind = fsmpb.OpKind_OP_ADD
	case n < 270:
		o.Kind = fsmpb.OpKind_OP_LEAVE
	case n < 285:
		o.Kind, o.Name = fsmpb.OpKind_OP_LEAVE_ALL, ""
	case n < 290:
		o.Kind, o.Name, o.Session = fsmpb.OpKind_OP_PRUNE, "", 0
	case n < 297 && (o.Name != "big" || p.rng.IntN(50) == 0):
		o.Kind, o.Uid, o.Sid, o.Session, o.Epoch = fsmpb.OpKind_OP_DESTROY, "", "", 0, 0
	case n < 299 || p.rng.IntN(15) != 0:
		*o = fsmpb.Op{Kind: fsmpb.OpKind_OP_PURGE, Sid: "outside"}
	default:
		*o = fsmpb.Op{Kind: fsmpb.OpKind_OP_DESTROY_ALL}
	}
	return o
}

func (p *play) run(t *testing.T, s *State, entries int) {
	t.Helper()
	for range entries {
		if r := s.Apply(p.next()); r.Err != nil {
			t.Fatal(r.Err)
		}
	}
}

// hooked calls between whenever it is asked whether it is over, which a capture does
// after each piece.
type hooked struct {
	context.Context
	between func()
}

func (h hooked) Err() error {
	h.between()
	return nil
}

// read gives all sections of a capture, one after another.
func read(t *testing.T, c *capture, between func()) []byte {
	t.Helper()
	c.piecePlayers, c.pieceMembers, c.pieceIDs = 3, 40, 5
	var all bytes.Buffer
	err := c.sections(hooked{context.Background(), between}, func(kind snapfile.Kind, number uint32, raw []byte) error {
		fmt.Fprintf(&all, "\nsection %d of kind %d, %d bytes: ", number, kind, len(raw))
		all.Write(raw)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.Bytes()
}

// Whatever is applied between its pieces, a capture is the state at its index.
func TestCapture_IsTheStateAtItsIndexWhateverIsAppliedMeanwhile(t *testing.T) {
	step := uint64(1)
	if RaceDetector {
		step = 10 // leaves two of each kind
	}
	for seed := uint64(0); seed < 60; seed += step {
		before := 20 + int(seed*7%300)
		still, moving := NewState(), NewState()
		newPlay(seed).run(t, still, before)
		p := newPlay(seed)
		p.run(t, moving, before)

		want := read(t, still.begin(), func() {})
		c := moving.begin()
		rare := rand.New(rand.NewPCG(seed, 8))
		p.run(t, moving, rare.IntN(3)) // before the header is written
		got := read(t, c, func() {
			if rare.IntN([]int{1, 30, 200}[seed%3]) == 0 { // always: everything has changed long before it is read
				p.run(t, moving, 1+rare.IntN(3))
			}
		})
		c.release()
		if !bytes.Equal(got, want) {
			t.Fatalf("seed %d, index %d: %d bytes, want %d; applied up to %d meanwhile", seed, before, len(got), len(want), p.index)
		}
		if err := CheckIndexes(moving); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		// What the capture held up is swept, and the next one is as good.
		p.run(t, moving, 30)
		after := newPlay(seed)
		straight := NewState()
		after.run(t, straight, int(p.index))
		if got, want := read(t, moving.begin(), func() {}), read(t, straight.begin(), func() {}); !bytes.Equal(got, want) {
			t.Fatalf("seed %d: after the capture the state differs from one that had none", seed)
		}
	}
}

// A capture that is over gives an error, not what it would have read.
func TestCapture_ThatIsOverGivesNothing(t *testing.T) {
	s := NewState()
	p := newPlay(1)
	p.run(t, s, 100)
	first := s.begin()
	second := s.begin()
	defer second.release()
	if _, err := first.hash(context.Background()); !errors.Is(err, errCaptureOver) {
		t.Errorf("error %v, want that it was given up", err)
	}
	if _, err := second.hash(context.Background()); err != nil {
		t.Error(err)
	}
}
