package checker_test

import (
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// story writes a history by hand: each operation takes one tick.
type story struct {
	events []history.Event
	op     int
}

func (s *story) note(e history.Event) *story {
	e.Type, e.At = history.Note, s.tick()
	s.events = append(s.events, e)
	return s
}

func (s *story) tick() time.Duration { return time.Duration(len(s.events) + 1) }

func (s *story) do(t history.Type, e history.Event) *story {
	s.op++
	e.Op = s.op
	invoke := e
	invoke.Type, invoke.At, invoke.Index, invoke.Members = history.Invoke, s.tick(), 0, nil
	s.events = append(s.events, invoke)
	e.Type, e.At = t, s.tick()
	s.events = append(s.events, e)
	return s
}

func (s *story) life(sid string, epoch uint64) *story {
	return s.note(history.Event{F: history.Life, SID: sid, SType: "connector", Epoch: epoch, Index: epoch})
}

// lists is a listing of servers and their lives.
func (s *story) lists(index uint64, servers ...any) *story {
	lives := make(map[string]uint64)
	for i := 0; i < len(servers); i += 2 {
		lives[servers[i].(string)] = uint64(servers[i+1].(int))
	}
	return s.note(history.Event{F: history.Listed, Via: "c", Index: index, Lives: lives})
}

func (s *story) write(t history.Type, f history.F, uid string, epoch, index uint64) *story {
	return s.do(t, history.Event{F: f, Via: "a", Channel: "room", UID: uid, SID: "b", Epoch: epoch, Index: index})
}

func (s *story) read(via string, minIndex, index uint64, uids ...string) *story {
	r := history.Event{F: history.Read, Via: via, Channel: "room", MinIndex: minIndex, Index: index}
	for _, uid := range uids {
		r.Members = append(r.Members, history.Member{UID: uid, SID: "b"})
	}
	return s.do(history.OK, r)
}

// begin is two servers, and on b the members 1 (who left), 2 and 3.
func begin() *story {
	s := new(story).life("a", 2).life("b", 3)
	s.write(history.OK, history.Add, "1", 3, 10)
	s.write(history.OK, history.Add, "2", 0, 11)
	s.write(history.OK, history.Leave, "1", 0, 12)
	return s.write(history.OK, history.Add, "3", 3, 13)
}

func kinds(t *testing.T, s *story) []checker.Kind {
	t.Helper()
	r, err := checker.Check(s.events)
	if err != nil {
		t.Fatal(err)
	}
	var got []checker.Kind
	for _, v := range r.Violations {
		got = append(got, v.Kind)
	}
	return got
}

func TestCheck_PlantedFaults(t *testing.T) {
	tests := map[string]struct {
		s    *story
		want []checker.Kind
	}{
		"nothing wrong":                 {begin().read("a", 13, 13, "2", "3"), nil},
		"nothing wrong on the others":   {begin().read("c", 13, 13, "3", "2"), nil},
		"lost":                          {begin().read("c", 13, 13, "2"), []checker.Kind{checker.Lost}},
		"lost by the one that took it":  {begin().read("a", 0, 13, "3"), []checker.Kind{checker.Lost}},
		"resurrected after a leave":     {begin().read("c", 13, 13, "1", "2", "3"), []checker.Kind{checker.Resurrected}},
		"duplicate":                     {begin().read("c", 13, 13, "2", "3", "2"), []checker.Kind{checker.Duplicate}},
		"never added":                   {begin().read("c", 13, 13, "2", "3", "4"), []checker.Kind{checker.Phantom}},
		"older than asked for":          {begin().read("c", 13, 12, "2"), []checker.Kind{checker.Behind}},
		"older than its own writes":     {begin().read("a", 0, 12, "2"), []checker.Kind{checker.Behind}},
		"another server may be older":   {begin().read("c", 0, 12, "2"), nil},
		"a prefix, but with a hole":     {begin().read("c", 11, 11, "1"), []checker.Kind{checker.Lost}},
		"present before its own index":  {begin().read("c", 11, 12, "2", "3"), []checker.Kind{checker.Resurrected}},
		"the window leaves it open":     {begin().read("c", 0, 13, "1", "2"), nil},
		"the state at no index":         {begin().read("c", 0, 13, "1", "3"), []checker.Kind{checker.Torn}},
		"old life's members still seen": {begin().life("b", 20).read("c", 20, 21, "2"), []checker.Kind{checker.Resurrected}},
		"old life's members gone":       {begin().life("b", 20).read("c", 20, 21), nil},
		"gone before the life ended":    {begin().lists(19, "a", 2, "b", 3).life("b", 20).read("c", 13, 19), []checker.Kind{checker.Lost, checker.Lost}},
		"gone before the next one":      {begin().life("b", 20).read("c", 14, 19), nil},
		"life may end within the read":  {begin().life("b", 20).read("c", 13, 20, "2", "3").read("c", 13, 20), nil},
		"new life's member":             {begin().life("b", 20).write(history.OK, history.Add, "4", 0, 22).read("c", 22, 22, "4"), nil},
		"new life's member lost":        {begin().life("b", 20).write(history.OK, history.Add, "4", 20, 22).read("c", 22, 22), []checker.Kind{checker.Lost}},
		"add for a life that was over":  {begin().life("b", 20).write(history.OK, history.Add, "4", 3, 22), []checker.Kind{checker.Fence}},
		"indexes go backwards":          {begin().write(history.OK, history.Add, "4", 3, 13), []checker.Kind{checker.Order}},
		"refused, and there":            {begin().write(history.Fail, history.Add, "4", 3, 0).read("c", 13, 13, "2", "3", "4"), []checker.Kind{checker.Phantom}},
		"leave was refused, and gone":   {begin().write(history.Fail, history.Leave, "2", 3, 0).read("c", 13, 13, "3"), []checker.Kind{checker.Lost}},
		"unknown add, either way":       {begin().write(history.Unknown, history.Add, "4", 3, 0).read("c", 13, 13, "2", "3").read("c", 13, 14, "2", "3", "4"), nil},
		"unknown leave, either way":     {begin().write(history.Unknown, history.Leave, "2", 3, 0).read("c", 13, 13, "2", "3").read("c", 13, 14, "3"), nil},
		"unknown add of an ended life":  {begin().write(history.Unknown, history.Add, "4", 3, 0).life("b", 20).read("c", 20, 20, "4"), []checker.Kind{checker.Resurrected}},
		"unknown add, late, then left":  {begin().write(history.Unknown, history.Add, "4", 0, 0).write(history.OK, history.Leave, "4", 0, 14).read("c", 14, 15, "2", "3", "4"), nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := kinds(t, tt.s); !slices.Equal(got, tt.want) {
				r, _ := checker.Check(tt.s.events)
				t.Errorf("got %v, want %v\n%v", got, tt.want, r)
			}
		})
	}
}

func TestCheck_BeforeItWasAdded(t *testing.T) {
	s := new(story).life("b", 3).read("c", 0, 30, "9").write(history.OK, history.Add, "9", 0, 31)
	if got := kinds(t, s); !slices.Equal(got, []checker.Kind{checker.Phantom}) {
		t.Errorf("got %v, want phantom", got)
	}
}

func TestCheck_WrongServer(t *testing.T) {
	s := begin().do(history.OK, history.Event{F: history.Read, Via: "c", Channel: "room", MinIndex: 13, Index: 13,
		Members: []history.Member{{UID: "2", SID: "b"}, {UID: "3", SID: "a"}}})
	if got := kinds(t, s); !slices.Equal(got, []checker.Kind{checker.Phantom}) {
		t.Errorf("got %v, want phantom", got)
	}
}

func TestCheck_ByServerAndType(t *testing.T) {
	bySID := func(sid string, members ...history.Member) *story {
		return begin().do(history.OK, history.Event{F: history.Read, Via: "c", Channel: "room", SID: sid, MinIndex: 13, Index: 13, Members: members})
	}
	byType := func(stype string, members ...history.Member) *story {
		return begin().do(history.OK, history.Event{F: history.Read, Via: "c", Channel: "room", SType: stype, MinIndex: 13, Index: 13, Members: members})
	}
	for name, tt := range map[string]struct {
		s    *story
		want []checker.Kind
	}{
		"all there":          {bySID("b", history.Member{UID: "2", SID: "b"}, history.Member{UID: "3", SID: "b"}), nil},
		"other server":       {bySID("a"), nil},
		"lost":               {bySID("b", history.Member{UID: "2", SID: "b"}), []checker.Kind{checker.Lost}},
		"not asked for":      {bySID("a", history.Member{UID: "2", SID: "b"}), []checker.Kind{checker.Phantom}},
		"type: all there":    {byType("connector", history.Member{UID: "2"}, history.Member{UID: "3"}), nil},
		"type: twice":        {byType("connector", history.Member{UID: "2"}, history.Member{UID: "3"}, history.Member{UID: "2"}), []checker.Kind{checker.Duplicate}},
		"type: another type": {byType("chat"), nil},
		"type: lost":         {byType("connector", history.Member{UID: "3"}), []checker.Kind{checker.Lost}},
	} {
		if got := kinds(t, tt.s); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

// A process that was started again knows nothing of what its predecessor had
// acknowledged, so its default reads may be behind that.
func TestCheck_OwnWritesEndWithTheProcess(t *testing.T) {
	s := begin().note(history.Event{F: history.Started, Via: "a"}).read("a", 0, 12, "2")
	if got := kinds(t, s); len(got) != 0 {
		t.Errorf("got %v, want none", got)
	}
}

func TestCheck_ReplicasDiffer(t *testing.T) {
	s := begin()
	for _, e := range []history.Event{{Via: "a", Index: 13, State: "x"}, {Via: "b", Index: 12, State: "y"}, {Via: "c", Index: 13, State: "x"}} {
		e.F = history.Replica
		s.note(e)
	}
	if got := kinds(t, s); len(got) != 0 {
		t.Errorf("got %v, want none", got)
	}
	s.note(history.Event{F: history.Replica, Via: "b", Index: 13, State: "y"})
	if got := kinds(t, s); !slices.Equal(got, []checker.Kind{checker.Diverged}) {
		t.Errorf("got %v, want diverged", got)
	}
}

func TestCheck_RefusesWhatItCannotJudge(t *testing.T) {
	for name, s := range map[string]*story{
		"life without index":    new(story).note(history.Event{F: history.Life, SID: "b", Epoch: 3}),
		"two lives at one":      new(story).note(history.Event{F: history.Life, SID: "b", Epoch: 3, Index: 3}).note(history.Event{F: history.Life, SID: "b", Epoch: 4, Index: 3}),
		"life not in history":   begin().write(history.OK, history.Add, "4", 99, 14),
		"uid of two elements":   begin().do(history.OK, history.Event{F: history.Add, Via: "a", Channel: "other", UID: "2", SID: "b", Index: 14}),
		"not a history":         {events: []history.Event{{Type: history.OK, Op: 1}}},
		"add before every life": begin().write(history.OK, history.Add, "4", 0, 1),
	} {
		if _, err := checker.Check(s.events); err == nil {
			t.Errorf("%s: judged", name)
		}
	}
}

func TestCheck_Counts(t *testing.T) {
	s := begin().write(history.Fail, history.Add, "4", 3, 0).write(history.Unknown, history.Add, "5", 3, 0).read("a", 13, 13, "2", "3").life("b", 20).read("a", 20, 20)
	r, err := checker.Check(s.events)
	if err != nil {
		t.Fatal(err)
	}
	want := checker.Report{Adds: 3, Leaves: 1, Reads: 2, Failed: 1, Unknown: 1, Lives: 3, Ended: 1, Decided: 9, Purged: 2}
	want.Violations = r.Violations
	if len(r.Violations) != 0 || r.String() != want.String() {
		t.Errorf("got  %v\nwant %v", r, want)
	}
}
