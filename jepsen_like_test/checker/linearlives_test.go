package checker_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// has is a life whose process is known.
func (s *story) has(sid string, epoch uint64, process string) *story {
	return s.note(history.Event{F: history.Life, SID: sid, SType: "connector", Epoch: epoch, Index: epoch, Incarnation: process})
}

func (s *story) ended(sid string, epoch uint64) *story {
	return s.note(history.Event{F: history.Ended, SID: sid, Epoch: epoch})
}

// at writes for a life of b, through c.
func (s *story) at(t history.Type, index uint64, f history.F, uid string, epoch uint64, told ...bool) *story {
	return s.do(t, history.Event{F: f, Worker: 1, Via: "c", Channel: "room", UID: uid, SID: "b", Epoch: epoch, Index: index, Changed: told})
}

// home is a room with 1 and 2 on b, which has life 3 of process x.
func home() *story {
	s := new(story).has("c", 2, "z").has("b", 3, "x")
	return s.at(history.OK, 10, history.Add, "1", 3).at(history.OK, 11, history.Add, "2", 3)
}

func TestCheckLinear_Lives(t *testing.T) {
	add, leave, ok, unknown, fail := history.Add, history.Leave, history.OK, history.Unknown, history.Fail
	everywhere := history.Event{F: history.LeaveAll, Via: "c", UID: "1", SID: "b", Epoch: 3}
	destroy := history.Event{F: history.Destroy, Via: "c", Channel: "room"}
	hopeless := history.Event{F: history.Apply, Worker: 1, Via: "b", Group: []history.Write{
		{F: add, Channel: "elsewhere", UID: "1", SID: "c", Epoch: 2}, {F: add, Channel: "room", UID: "3", SID: "b", Epoch: 3},
	}}
	fenced := history.Event{F: leave, Via: "b", Channel: "room", UID: "1", SID: "b", Epoch: 3}
	for name, tt := range map[string]struct {
		s     *story
		legal bool
	}{
		"ended: its members are gone":                {home().ended("b", 3).sees(), true},
		"ended: a ghost":                             {home().ended("b", 3).sees("1", "2"), false},
		"ended: one ghost":                           {home().ended("b", 3).sees("2"), false},
		"ends at one moment":                         {home().sees("1", "2").sees().ended("b", 3), true},
		"ends in pieces":                             {home().sees("1", "2").sees("1").sees().ended("b", 3), false},
		"ends and goes on":                           {home().sees("1", "2").sees().sees("1", "2").ended("b", 3), false},
		"gone, and no end was seen":                  {home().sees(), false},
		"gone after it was listed":                   {home().sees("1", "2").sees().at(ok, 12, add, "3", 3).lists(13, "b", 3), false},
		"gone, and not listed any more":              {home().sees("1", "2").sees().lists(13, "c", 2), true},
		"add for a life that is over":                {home().ended("b", 3).at(ok, 30, add, "3", 3), false},
		"add before it is over":                      {home().at(ok, 30, add, "3", 3).sees("1", "2", "3").ended("b", 3).sees(), true},
		"unknown add for a life that is over":        {home().ended("b", 3).at(unknown, 0, add, "3", 3).sees().has("b", 40, "y").sees(), true},
		"the same, and seen":                         {home().ended("b", 3).at(unknown, 0, add, "3", 3).has("b", 40, "y").sees("3"), false},
		"unknown add that names none":                {home().ended("b", 3).at(unknown, 0, add, "3", 0).has("b", 40, "y").sees("3"), true},
		"another process: nobody is back":            {home().has("b", 40, "y").sees(), true},
		"another process: members are back":          {home().has("b", 40, "y").sees("1", "2"), false},
		"another process: one member is back":        {home().ended("b", 3).sees().has("b", 40, "y").sees("1"), false},
		"another process: its own member":            {home().has("b", 40, "y").at(ok, 41, add, "3", 40).sees("3"), true},
		"another process: add for the old life":      {home().has("b", 40, "y").at(ok, 41, add, "3", 3), false},
		"another process: unknown add for the old":   {home().has("b", 40, "y").at(unknown, 0, add, "3", 3).sees("3"), false},
		"another process: old add, rejected":         {home().has("b", 40, "y").at(fail, 0, add, "3", 3).sees(), true},
		"another process: old add, rejected, seen":   {home().has("b", 40, "y").at(fail, 0, add, "3", 3).sees("3"), false},
		"another process: members before it":         {home().at(ok, 39, add, "3", 3).sees("1", "2", "3").has("b", 40, "y").sees(), true},
		"nobody named the process":                   {home().life("b", 40).sees("1", "2"), false},
		"resumed":                                    {home().ended("b", 3).sees().has("b", 40, "x").sees("1", "2"), true},
		"resumed, nobody saw the end":                {home().has("b", 40, "x").sees("1", "2"), true},
		"resumed, one is lost":                       {home().ended("b", 3).has("b", 40, "x").sees("1"), false},
		"resumed, all are lost":                      {home().ended("b", 3).has("b", 40, "x").sees(), false},
		"resumed, and nothing was kept":              {home().note(resumed(3, 40, -1)).sees(), true},
		"resumed in pieces":                          {home().ended("b", 3).sees().sees("1").sees("1", "2").has("b", 40, "x"), false},
		"resumed, as its process says":               {home().note(resumed(3, 40, 0)).sees("1", "2"), true},
		"resumed: add for the old life":              {home().has("b", 40, "x").at(ok, 41, add, "3", 3).sees("1", "2", "3"), true},
		"resumed twice":                              {home().has("b", 40, "x").has("b", 50, "x").at(ok, 51, add, "3", 3).sees("1", "2", "3"), true},
		"resumed, then another":                      {home().has("b", 40, "x").has("b", 50, "y").sees(), true},
		"resumed, then another: the first's member":  {home().has("b", 40, "x").has("b", 50, "y").at(ok, 51, add, "3", 3), false},
		"another in between":                         {home().has("b", 40, "y").has("b", 50, "x").sees("1", "2"), false},
		"parked and removed":                         {home().ended("b", 3).at(ok, 30, leave, "1", 3, true).has("b", 40, "x").sees("2"), true},
		"parked and removed, and resurrected":        {home().ended("b", 3).at(ok, 30, leave, "1", 3, true).has("b", 40, "x").sees("1", "2"), false},
		"parked: the leave says it found nobody":     {home().ended("b", 3).do(ok, changed(onB(leave, "1"), false)).has("b", 40, "x").sees("2"), false},
		"parked and unknown leave":                   {home().ended("b", 3).at(unknown, 0, leave, "1", 3).has("b", 40, "x").sees("2"), true},
		"parked and unknown leave, none":             {home().ended("b", 3).at(unknown, 0, leave, "1", 3).has("b", 40, "x").sees("1", "2"), true},
		"parked and left everywhere":                 {home().ended("b", 3).do(ok, everywhere).has("b", 40, "x").sees("2"), true},
		"parked and left everywhere, and back":       {home().ended("b", 3).do(ok, everywhere).has("b", 40, "x").sees("1", "2"), false},
		"parked and destroyed":                       {home().ended("b", 3).do(ok, destroy).has("b", 40, "x").sees(), true},
		"parked and destroyed, and back":             {home().ended("b", 3).do(ok, destroy).has("b", 40, "x").sees("1", "2"), false},
		"leave for the old life of somebody new":     {home().has("b", 40, "y").at(ok, 41, add, "1", 40).at(ok, 42, leave, "1", 3).sees("1"), false},
		"leave for the old life, nobody there":       {home().has("b", 40, "y").at(ok, 42, leave, "1", 3, false).sees(), true},
		"unknown leave for the old life":             {home().has("b", 40, "y").at(ok, 41, add, "1", 40).at(unknown, 0, leave, "1", 3).sees("1").sees(), false},
		"its own leave, refused: back":               {home().ended("b", 3).do(fail, fenced).has("b", 40, "x").sees("1", "2"), true},
		"its own leave, refused: dropped":            {home().ended("b", 3).do(fail, fenced).has("b", 40, "x").sees("2"), false},
		"its own leave, refused after the return":    {leaveOverResume(fenced, fail).sees("1", "2"), true},
		"its own leave, refused and dropped":         {leaveOverResume(fenced, fail).sees("2"), false},
		"its own leave, unknown: back":               {leaveOverResume(fenced, unknown).sees("1", "2"), true},
		"its own leave, unknown: dropped":            {leaveOverResume(fenced, unknown).sees("2"), true},
		"its own leave, unknown: back for a while":   {leaveOverResume(fenced, unknown).sees("1", "2").sees("2"), true},
		"group refused in another channel":           {home().life("c", 40).do(unknown, hopeless).sees("1", "2"), true},
		"group refused in another channel, and seen": {home().life("c", 40).do(unknown, hopeless).sees("1", "2", "3"), false},
		"indexes go backwards":                       {home().at(ok, 9, add, "3", 3), false},
		"a read shows what came after its index":     {home().do(ok, func() history.Event { e := shows("1", "2"); e.Index = 10; return e }()), false},
	} {
		t.Run(name, func(t *testing.T) {
			r := judge(t, tt.s)
			if legal := len(r.Violations) == 0; legal != tt.legal {
				t.Errorf("got %v", r)
			}
			for _, v := range r.Violations {
				if v.Kind != checker.NotLinearizable {
					t.Errorf("got %v", v)
				}
			}
		})
	}
}

// An index says on which side of an end or a beginning a write is, where the times leave
// that open.
func TestCheckLinear_TurnsKeepToIndexes(t *testing.T) {
	// Somebody sees 9, while the write that put it there is under way, beside 1 and 2.
	seen := func(index uint64) *story {
		s := home()
		done := s.open(history.Event{F: history.Add, Via: "c", Channel: "room", UID: "9", SID: "c"})
		e := shows("1", "2")
		e.Members = append(e.Members, history.Member{UID: "9", SID: "c"})
		s.do(history.OK, e)
		return done(history.OK, func(e *history.Event) { e.Index = index })
	}
	over := history.Event{F: history.Ended, SID: "b", Epoch: 3, Index: 20}
	for name, tt := range map[string]struct {
		s     *story
		legal bool
	}{
		"before the end":      {seen(15).note(over), true},
		"after the end":       {seen(25).note(over), false},
		"before the next one": {seen(35).has("b", 40, "y"), true},
		"after the next one":  {seen(45).has("b", 40, "y"), false},
	} {
		if r := judge(t, tt.s); (len(r.Violations) == 0) != tt.legal {
			t.Errorf("%s: got %v", name, r)
		}
	}
}

func onB(f history.F, uid string) history.Event {
	return history.Event{F: history.Apply, Worker: 1, Via: "c", Group: []history.Write{{F: f, Channel: "room", UID: uid, SID: "b", Epoch: 3}}}
}

func resumed(old, next uint64, missed int) history.Event {
	return history.Event{F: history.Resumed, SID: "b", Epoch: old, Next: next, Missed: missed}
}

// leaveOverResume is a leave that b is asked for while its life ends and the next
// one begins, and that is refused.
func leaveOverResume(e history.Event, outcome history.Type) *story {
	s := home()
	done := s.open(e)
	s.ended("b", 3).has("b", 40, "x")
	return done(outcome, nil)
}

// What a fenced process had sent does not take effect: neither when its life is over,
// nor for the next process under that sid.
func TestCheckLinear_WritersHaveLives(t *testing.T) {
	via := func(e history.Event, sid string, index uint64) history.Event {
		e.Via, e.Index, e.SID = sid, index, "b"
		return e
	}
	// two servers: members are on b, a writes.
	begin := func() *story {
		s := new(story).has("b", 2, "z").note(history.Event{F: history.Started, Via: "a"}).life("a", 3)
		return s.do(history.OK, via(of(history.Add, "1"), "b", 10))
	}
	restarted := func(s *story, epoch uint64) *story {
		s.note(history.Event{F: history.Started, Via: "a", Start: 2})
		return s.note(history.Event{F: history.Life, SID: "a", Epoch: epoch, Index: epoch, Start: 2})
	}
	add2 := of(history.Add, "2")
	for name, tt := range map[string]struct {
		s     *story
		legal bool
	}{
		"late write of a life that is over":           {begin().do(history.Unknown, via(add2, "a", 0)).ended("a", 3).sees("1").sees("1", "2"), false},
		"in time":                                     {begin().do(history.Unknown, via(add2, "a", 0)).sees("1", "2").ended("a", 3).sees("1", "2"), true},
		"not seen at once":                            {begin().do(history.Unknown, via(add2, "a", 0)).ended("a", 3).sees("1", "2").sees("1", "2"), true},
		"late write, next process":                    {restarted(begin().do(history.Unknown, via(add2, "a", 0)), 40).sees("1").sees("1", "2"), false},
		"in time, next process":                       {restarted(begin().do(history.Unknown, via(add2, "a", 0)), 40).sees("1", "2"), true},
		"acknowledged by a life that is over":         {begin().ended("a", 3).do(history.OK, via(add2, "a", 20)), false},
		"acknowledged by the next":                    {restarted(begin().ended("a", 3), 40).do(history.OK, via(add2, "a", 41)).sees("1", "2"), true},
		"acknowledged by the next, before it began":   {restarted(begin().ended("a", 3), 40).do(history.OK, via(add2, "a", 39)), false},
		"late write, the process is registered again": {begin().do(history.Unknown, via(add2, "a", 0)).ended("a", 3).sees("1").note(history.Event{F: history.Life, SID: "a", Epoch: 40, Index: 40, Start: 1}).sees("1", "2"), true}, // it had waited
	} {
		t.Run(name, func(t *testing.T) {
			if r := judge(t, tt.s); (len(r.Violations) == 0) != tt.legal {
				t.Errorf("got %v", r)
			}
		})
	}
}

// A process does what it is called for in the order of the calls, those included of
// which the caller has never heard. From outside nobody knows in which order calls
// arrive.
func TestCheckLinear_OrderOfAProcess(t *testing.T) {
	call := func(start int, embedded bool, f history.F, uid string) history.Event {
		e := of(f, uid)
		e.Via, e.Start, e.Embedded = "a", start, embedded
		return e
	}
	for name, tt := range map[string]struct {
		s     *story
		legal bool
	}{
		"leave, then the add before":        {two().do(history.Unknown, call(1, true, history.Add, "3")).do(history.OK, call(1, true, history.Leave, "3")).sees("1", "2").sees("1", "2", "3"), false},
		"leave, then the add, from outside": {two().do(history.Unknown, call(1, false, history.Add, "3")).do(history.OK, call(1, false, history.Leave, "3")).sees("1", "2").sees("1", "2", "3"), true},
		"another member, same channel":      {two().do(history.Unknown, call(1, true, history.Add, "3")).do(history.OK, call(1, true, history.Leave, "1")).sees("2").sees("2", "3"), false},
		"another member, in order":          {two().do(history.Unknown, call(1, true, history.Add, "3")).do(history.OK, call(1, true, history.Leave, "1")).sees("2", "3").sees("2", "3"), true},
		"add, then the leave before":        {two().do(history.Unknown, call(1, true, history.Leave, "1")).do(history.OK, call(1, true, history.Add, "1")).sees("1", "2").sees("2"), false},
		"both unknown, in order":            {two().do(history.Unknown, call(1, true, history.Add, "3")).do(history.Unknown, call(1, true, history.Leave, "3")).sees("1", "2", "3").sees("1", "2"), true},
		"both unknown, the other way":       {two().do(history.Unknown, call(1, true, history.Leave, "1")).do(history.Unknown, call(1, true, history.Add, "1")).sees("2").sees("1", "2"), true},
		"both unknown, against their order": {two().do(history.Unknown, call(1, true, history.Add, "3")).do(history.Unknown, call(1, true, history.Add, "4")).sees("1", "2", "4").sees("1", "2", "3", "4"), false},
		"an overlapping call has no place":  {overlapping(call(1, true, history.Add, "3"), call(1, true, history.Leave, "3")).sees("1", "2").sees("1", "2", "3"), true},
		"another server's process":          {two().do(history.Unknown, call(1, true, history.Add, "3")).do(history.OK, history.Event{F: history.Leave, Via: "c", Start: 1, Embedded: true, Channel: "room", UID: "3", SID: "b"}).sees("1", "2").sees("1", "2", "3"), true},
	} {
		t.Run(name, func(t *testing.T) {
			if r := judge(t, tt.s); (len(r.Violations) == 0) != tt.legal {
				t.Errorf("got %v", r)
			}
		})
	}
}

// overlapping is an add that is given up when a leave has been called.
func overlapping(add, leave history.Event) *story {
	s := two()
	first := s.open(add)
	second := s.open(leave)
	first(history.Unknown, nil)
	return second(history.OK, nil)
}

// The ends of lives are as good as any other change: what is told of a violation is
// the answer that can't be, not the end.
func TestCheckLinear_NamesTheAnswer(t *testing.T) {
	r := judge(t, home().ended("b", 3).sees().has("b", 40, "x").sees("1").sees("1"))
	if len(r.Violations) != 1 || r.Violations[0].Op != 4 {
		t.Errorf("got %v, want operation 4", r)
	}
	if r.Ended != 1 || r.Resumed != 1 {
		t.Errorf("%d ended, %d resumed; want one of each", r.Ended, r.Resumed)
	}
}

// It takes seconds to search a history of the size of a run's, in which servers die,
// stand still and come back all the while and many writes have no answer.
func TestCheckLinear_IsFast(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	r := judge(t, churn(5000))
	if len(r.Violations) > 0 || r.Ended < 20 || r.Unknown < 100 {
		t.Errorf("got %v", r)
	}
	t.Log(r)
}

func TestCheckLinear_ChurnWithAGhost(t *testing.T) {
	s := churn(1500)
	for i := len(s.events) - 1; i >= 0; i-- { // the last read of somebody shows one more
		e := &s.events[i]
		if e.Type == history.OK && e.F == history.Read && len(e.Members) > 0 {
			e.Members = slices.Clone(e.Members)
			for n := range 3 {
				ghost := history.Member{UID: fmt.Sprint("u", n), SID: e.Members[0].SID}
				if !slices.Contains(e.Members, ghost) {
					e.Members = append(e.Members, ghost)
					break
				}
			}
			break
		}
	}
	if r := judge(t, s); len(r.Violations) == 0 {
		t.Errorf("not found: %v", r)
	}
}
