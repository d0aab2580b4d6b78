package checker_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// searchTime is far more than a hand-written history takes.
const searchTime = time.Minute

// open invokes an operation and returns what completes it: for operations that
// overlap.
func (s *story) open(e history.Event) (done func(history.Type, func(*history.Event)) *story) {
	s.op++
	e.Op, e.Worker = s.op, s.op
	invoke := e
	invoke.Type, invoke.At = history.Invoke, s.tick()
	s.events = append(s.events, invoke)
	return func(t history.Type, change func(*history.Event)) *story {
		e.Type, e.At = t, s.tick()
		if change != nil {
			change(&e)
		}
		s.events = append(s.events, e)
		return s
	}
}

// told is a write whose answer says what changed.
func (s *story) told(f history.F, uid string, changed ...bool) *story {
	return s.do(history.OK, history.Event{F: f, Worker: 1, Channel: "room", UID: uid, SID: "b", Changed: changed})
}

// sees is a linearizable read of the room.
func (s *story) sees(uids ...string) *story { return s.do(history.OK, shows(uids...)) }

func shows(uids ...string) history.Event {
	e := history.Event{F: history.Read, Via: "c", Channel: "room", Linearizable: true}
	for _, uid := range uids {
		e.Members = append(e.Members, history.Member{UID: uid, SID: "b"})
	}
	return e
}

func of(f history.F, uid string) history.Event {
	return history.Event{F: f, Worker: 1, Channel: "room", UID: uid, SID: "b"}
}

// two is a room with 1 and 2 in it.
func two() *story {
	s := new(story).life("b", 3)
	return s.told(history.Add, "1").told(history.Add, "2")
}

func group(list ...history.Write) history.Event {
	return history.Event{F: history.Apply, Worker: 1, Group: list}
}

func judge(t *testing.T, s *story) checker.LinearReport {
	t.Helper()
	r, err := checker.CheckLinear(s.events, searchTime)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCheckLinear_AcceptsWhatAnOrderExplains(t *testing.T) {
	add3, leave1 := of(history.Add, "3"), of(history.Leave, "1")
	everywhere := history.Event{F: history.LeaveAll, UID: "1", SID: "b"}
	destroy := history.Event{F: history.Destroy, Channel: "room"}
	inBoth := group(history.Write{F: history.Add, Channel: "room", UID: "3", SID: "b"}, history.Write{F: history.Add, Channel: "hall", UID: "3", SID: "b"})
	for name, s := range map[string]*story{
		"nothing wrong":                    two().sees("1", "2").told(history.Leave, "1", true).sees("2"),
		"unchanged":                        two().told(history.Add, "1", false).told(history.Leave, "3", false).sees("2", "1"),
		"unknown add never seen":           two().do(history.Unknown, add3).sees("1", "2").sees("1", "2"),
		"unknown add seen late":            two().do(history.Unknown, add3).sees("1", "2").sees("1", "2", "3"),
		"unknown leave in the middle":      two().do(history.Unknown, leave1).sees("1", "2").sees("2").told(history.Add, "1", true).sees("1", "2"),
		"never completed":                  func() *story { s := two(); s.open(add3); return s.sees("1", "2", "3") }(),
		"refused, without effect":          two().do(history.Fail, add3).sees("1", "2"),
		"failed read shows nothing":        two().do(history.Fail, shows("9")),
		"default reads may be stale":       two().do(history.OK, history.Event{F: history.Read, Channel: "room"}),
		"leave everywhere":                 two().do(history.OK, everywhere).sees("2"),
		"destroyed":                        two().do(history.OK, destroy).sees().told(history.Add, "2", true),
		"group in two channels":            two().do(history.OK, inBoth).sees("1", "2", "3"),
		"only a server's":                  two().do(history.OK, history.Event{F: history.Read, Channel: "room", SID: "a", Linearizable: true}),
		"overlapping, either order":        overlap(two(), add3, "1", "2").sees("1", "2", "3"),
		"overlapping, either order, again": overlap(two(), add3, "1", "2", "3").sees("1", "2", "3"),
	} {
		if r := judge(t, s); len(r.Violations) > 0 {
			t.Errorf("%s: %v", name, r)
		}
	}
}

// overlap reads while e is under way.
func overlap(s *story, e history.Event, uids ...string) *story {
	done := s.open(e)
	s.sees(uids...)
	return done(history.OK, nil)
}

func TestCheckLinear_PlantedFaults(t *testing.T) {
	add3, leave1 := of(history.Add, "3"), of(history.Leave, "1")
	destroy := history.Event{F: history.Destroy, Channel: "room"}
	half := group(history.Write{F: history.Add, Channel: "room", UID: "3", SID: "b"}, history.Write{F: history.Add, Channel: "room", UID: "4", SID: "b"})
	add1 := group(history.Write{F: history.Add, Channel: "room", UID: "1", SID: "b"})
	add1.Worker = 2
	hall := group(history.Write{F: history.Leave, Channel: "hall", UID: "1", SID: "b"}, history.Write{F: history.Leave, Channel: "hall", UID: "2", SID: "b"})
	inVain := history.Event{F: history.LeaveAll, UID: "1", SID: "b", Changed: []bool{false}}
	wrong := []checker.Kind{checker.NotLinearizable}
	for name, tt := range map[string]struct {
		s    *story
		op   int // that is named
		want []checker.Kind
	}{
		"stale read after an acknowledged write":  {two().sees("1"), 3, wrong},
		"going back":                              {overlap(two(), add3, "1", "2", "3").sees("1", "2").sees("1", "2", "3"), 5, wrong},
		"lost write":                              {two().told(history.Add, "3").sees("1", "2", "3").sees("1", "2"), 5, wrong},
		"resurrected member":                      {two().told(history.Leave, "1").sees("2").sees("1", "2"), 5, wrong},
		"effect twice":                            {two().do(history.Unknown, add3).sees("1", "2", "3").told(history.Leave, "3").sees("1", "2").sees("1", "2", "3"), 7, wrong},
		"unknown leave, effect twice":             {two().do(history.Unknown, leave1).sees("2").told(history.Add, "1").sees("2"), 6, wrong},
		"refused, and there":                      {two().do(history.Fail, add3).sees("1", "2", "3"), 4, wrong},
		"never added":                             {two().sees("1", "2", "4"), 3, wrong},
		"half a group":                            {two().do(history.Unknown, half).sees("1", "2", "3"), 4, wrong},
		"destroyed, and there":                    {two().do(history.OK, destroy).sees("2"), 4, wrong},
		"changed, though it was there":            {two().sees("1", "2").do(history.OK, changed(add1, true)), 4, wrong},
		"took out who was never there":            {two().do(history.OK, changed(hall, true, false)), 3, wrong},
		"left everywhere without change, and was": {two().do(history.OK, inVain), 3, wrong},
		"listed twice":                            {two().sees("1", "2", "1"), 3, []checker.Kind{checker.Duplicate}},
	} {
		t.Run(name, func(t *testing.T) {
			r := judge(t, tt.s)
			var got []checker.Kind
			for _, v := range r.Violations {
				got = append(got, v.Kind)
			}
			if !slices.Equal(got, tt.want) || r.Violations[0].Op != tt.op {
				t.Errorf("got %v, want %v at operation %d", r, tt.want, tt.op)
			}
		})
	}
}

func changed(e history.Event, told ...bool) history.Event {
	e.Changed = told
	return e
}

// A member that one worker alone adds and removes, one after the other: each
// acknowledged write must say that it changed something, until one is unknown.
func TestCheckLinear_CountsEffects(t *testing.T) {
	alternate := func() *story {
		return new(story).life("b", 3).told(history.Add, "1", true).told(history.Leave, "1", true)
	}
	if r := judge(t, alternate().told(history.Add, "1", true)); len(r.Violations) > 0 || r.Counted != 3 {
		t.Errorf("got %v, want no violation and 3 counted", r)
	}
	back := group(history.Write{F: history.Add, Channel: "room", UID: "1", SID: "b"})
	if r := judge(t, alternate().do(history.OK, changed(back, true))); len(r.Violations) > 0 || r.Counted != 3 {
		t.Errorf("a group of one: got %v, want no violation and 3 counted", r)
	}
	if r := judge(t, alternate().do(history.Unknown, of(history.Add, "1"))); len(r.Violations) > 0 || r.Counted != 2 {
		t.Errorf("got %v, want no violation and 2 counted", r)
	}
	for name, s := range map[string]*story{
		"the first add again, late": alternate().told(history.Add, "1", false),
		"the leave was lost":        new(story).life("b", 3).told(history.Add, "1", true).told(history.Leave, "1", false),
	} {
		r := judge(t, s)
		if !slices.ContainsFunc(r.Violations, func(v checker.Violation) bool { return v.Kind == checker.Once }) {
			t.Errorf("%s: not found: %v", name, r)
		}
	}
}

// What several workers write is for the search alone.
func TestCheckLinear_CountsNothingThatIsShared(t *testing.T) {
	alone := func() *story { return new(story).life("b", 3).told(history.Add, "1", true) }
	other := of(history.Leave, "1")
	other.Worker = 2
	for name, s := range map[string]*story{
		"another worker": alone().do(history.OK, other),
		"a group":        alone().do(history.OK, group(history.Write{F: history.Leave, Channel: "room", UID: "1", SID: "b"}, history.Write{F: history.Add, Channel: "room", UID: "2", SID: "b"})),
		"leave all":      alone().do(history.OK, history.Event{F: history.LeaveAll, UID: "1", SID: "b"}),
		"destroy":        alone().do(history.OK, history.Event{F: history.Destroy, Channel: "room"}),
	} {
		if r := judge(t, s.told(history.Add, "1", true)); len(r.Violations) > 0 || r.Counted != 0 {
			t.Errorf("%s: got %v, want no violation, nothing counted", name, r)
		}
	}
}

func TestCheckLinear_RefusesWhatItCannotJudge(t *testing.T) {
	crowd := new(story).life("b", 3)
	for i := range 70 {
		crowd.told(history.Add, strings.Repeat("u", i+1))
	}
	for name, s := range map[string]*story{
		"a life that nobody saw": new(story).told(history.Add, "1"),
		"too many members":       crowd,
		"no history":             {events: []history.Event{{Type: history.OK, Op: 1}}},
	} {
		if r, err := checker.CheckLinear(s.events, searchTime); err == nil {
			t.Errorf("%s: accepted: %v", name, r)
		}
	}
}

// A search that does not end in time has found nothing, and that must not pass.
func TestCheckLinear_OutOfTimeIsNoVerdict(t *testing.T) {
	s := new(story).life("b", 3)
	var ends []func(history.Type, func(*history.Event)) *story
	for i := range 40 { // all at once, and an end that none of their orders explains
		ends = append(ends, s.open(of(history.Add, string(rune('A'+i)))), s.open(of(history.Leave, string(rune('A'+i)))))
	}
	for _, end := range ends {
		end(history.OK, nil)
	}
	r, err := checker.CheckLinear(s.sees("A", "B", "nobody").events, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Violations) != 1 || r.Violations[0].Kind != checker.Undecided {
		t.Errorf("got %v, want undecided", r)
	}
}

func TestLinearReport_WritePage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.html")
	if written, err := judge(t, two()).WritePage(path, searchTime); written || err != nil {
		t.Errorf("got %v, %v; want no page where nothing is wrong", written, err)
	}
	s := two().note(history.Event{F: history.Fault, Via: "a", Text: "SIGKILL"}).sees("1")
	if written, err := judge(t, s).WritePage(path, searchTime); !written || err != nil {
		t.Fatalf("got %v, %v; want a page", written, err)
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"SIGKILL", "3: read of room at c shows {1 on b}"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page does not have %q", want)
		}
	}
}
