package fsm_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pofresh/globalchannel/fsm"
)

// history remembers what was read at each stamp.
type history map[string]map[fsm.Stamp][]string

// check fails the test if the same stamp stood for something else before.
func (h history) check(t *testing.T, s *fsm.State, what string, stamp fsm.Stamp, now []string) {
	t.Helper()
	slices.Sort(now)
	if h[what] == nil {
		h[what] = make(map[fsm.Stamp][]string)
	}
	if before, known := h[what][stamp]; known && !slices.Equal(before, now) {
		t.Fatalf("index %d: %s was %v at the same stamp, and is %v", s.Index(), what, before, now)
	}
	h[what][stamp] = now
}

// change does something at random to two servers and two channels.
func change(t *testing.T, w *world, random *rand.Rand) {
	t.Helper()
	sid, uid, name := []string{"a", "b"}[random.IntN(2)], fmt.Sprint("u", random.IntN(4)), fmt.Sprint("x", random.IntN(2))
	srv, _ := w.s.Server(sid)
	switch n := random.IntN(40); {
	case n == 0:
		w.apply(entryUp(upOf(sid, fmt.Sprint("inc-", random.IntN(1000)))))
	case n == 1:
		w.apply(entryDown(sid, srv.Epoch))
	case n == 2 && !srv.Up:
		w.apply(entryUp(resuming(upOf(sid, srv.Incarnation), srv.Epoch)))
	case n == 3:
		w.group("o", opDestroy(name))
	case n == 4:
		w.group("o", opLeaveAll(uid, sid, srv.Epoch))
	case n == 5:
		w.apply(entryForget(w.next - 1))
	case n == 6:
		var snapshot bytes.Buffer
		if _, err := w.s.WriteSnapshot(&snapshot); err != nil {
			t.Fatal(err)
		}
		restored, err := fsm.ReadSnapshot(&snapshot)
		if err != nil {
			t.Fatal(err)
		}
		w.s = restored
	case n < 23:
		w.group("o", opAdd(name, uid, sid, srv.Epoch))
	default:
		w.group("o", opLeave(name, uid, sid, srv.Epoch))
	}
}

func TestState_TheSameStampMeansTheSameMembers(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	w := newWorld(t, "o", "a", "b")
	cells, channels := make(history), make(history)
	unchanged := 0
	for range 4000 {
		before := w.s.StampBySID("x0", "a")
		change(t, w, random)
		if before == w.s.StampBySID("x0", "a") {
			unchanged++
		}
		for _, name := range []string{"x0", "x1", "nowhere"} {
			for _, sid := range []string{"a", "b", "nobody"} {
				cells.check(t, w.s, name+" on "+sid, w.s.StampBySID(name, sid), w.s.MembersBySID(name, sid).UIDs())
			}
			var all []string
			for _, target := range w.s.Targets(name, "connector", nil) {
				target.Read()
				if target.Stamp != w.s.StampBySID(name, target.Server.SID) || target.Members != len(target.UIDs) {
					t.Fatalf("%s on %s: %+v", name, target.Server.SID, target)
				}
				for _, uid := range target.UIDs {
					all = append(all, fmt.Sprint(uid, "@", target.Server.SID, "/", target.Server.Epoch))
				}
			}
			channels.check(t, w.s, name, w.s.Stamp(name), all)
		}
	}
	if unchanged < 1000 {
		t.Errorf("a list kept its stamp only %d times of 4000: nobody could keep it", unchanged)
	}
}
