package checker_test

import (
	"slices"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// asks is a read that asks for something.
func (s *story) asks(e history.Event, via string, index uint64, uids ...string) *story {
	e.F, e.Via, e.Channel, e.Index = history.Read, via, "room", index
	for _, uid := range uids {
		e.Members = append(e.Members, history.Member{UID: uid, SID: "b"})
	}
	return s.do(history.OK, e)
}

// Each kind of read is held to what it promises, and to no more.
func TestCheck_ReadsByTheirPromise(t *testing.T) {
	stale, all := history.Event{Stale: true}, history.Event{Linearizable: true}
	atLeast := func(index uint64) history.Event { return history.Event{MinIndex: index} }
	old := func(d time.Duration) history.Event { return history.Event{MaxStale: d} }
	started := history.Event{F: history.Started, Via: "a"}
	none := []checker.Kind(nil)
	for name, tt := range map[string]struct {
		s    *story
		want []checker.Kind
	}{
		// Adds of 1, 2 and 3 at 10, 11 and 13 through a, and 1 left at 12.
		"stale: old":                             {begin().asks(stale, "a", 10, "1"), none},
		"stale: nothing yet":                     {begin().asks(stale, "a", 9), none},
		"stale: backwards":                       {begin().asks(stale, "a", 13, "2", "3").asks(stale, "a", 10, "1"), none},
		"stale: older than its index":            {begin().asks(stale, "a", 13, "1"), none}, // its index is an upper bound
		"stale: newer than its index":            {begin().asks(stale, "a", 11, "2", "3"), []checker.Kind{checker.Resurrected}},
		"stale: no prefix":                       {begin().asks(stale, "a", 13, "1", "3"), []checker.Kind{checker.Torn}},
		"stale: who was never there":             {begin().asks(stale, "a", 13, "9"), []checker.Kind{checker.Phantom}},
		"default: own writes":                    {begin().asks(history.Event{}, "a", 12, "2"), []checker.Kind{checker.Behind}},
		"default: own writes, claimed":           {begin().asks(history.Event{}, "a", 13, "2"), []checker.Kind{checker.Lost}},
		"default: another server":                {begin().asks(history.Event{}, "c", 10, "1"), none},
		"default: backwards":                     {begin().asks(history.Event{}, "c", 13, "2", "3").asks(history.Event{}, "c", 12, "2"), []checker.Kind{checker.Behind}},
		"default: backwards, by what it shows":   {begin().asks(history.Event{}, "c", 13, "2", "3").asks(history.Event{}, "c", 13, "1", "2"), []checker.Kind{checker.Resurrected, checker.Lost}},
		"default: forwards":                      {begin().asks(history.Event{}, "c", 13, "1").asks(history.Event{}, "c", 13, "1", "2").asks(history.Event{}, "c", 13, "2"), none},
		"default: backwards, another process":    {begin().asks(history.Event{}, "a", 13, "2", "3").note(started).asks(history.Event{}, "a", 12, "2"), none},
		"default: backwards, another server":     {begin().asks(history.Event{}, "c", 13, "2", "3").asks(history.Event{}, "d", 12, "2"), none},
		"default: behind another server":         {behindAnother(history.Event{}), none},
		"default: behind a stale one":            {begin().asks(stale, "c", 13, "2", "3").asks(history.Event{}, "c", 12, "2"), none},
		"at least":                               {begin().asks(atLeast(11), "c", 12, "2"), none},
		"at least: behind":                       {begin().asks(atLeast(13), "c", 12, "2"), []checker.Kind{checker.Behind}},
		"at least: behind by what it shows":      {begin().asks(atLeast(12), "c", 13, "1", "2"), []checker.Kind{checker.Resurrected}},
		"at least: not more":                     {begin().asks(atLeast(11), "a", 12, "2"), none},
		"linearizable":                           {begin().asks(all, "c", 13, "2", "3"), none},
		"linearizable: behind":                   {begin().asks(all, "c", 12, "2"), []checker.Kind{checker.Behind}},
		"linearizable: claimed":                  {begin().asks(all, "c", 13, "2"), []checker.Kind{checker.Lost}},
		"linearizable: behind another read":      {begin().write(history.Unknown, history.Add, "4", 3, 0).asks(all, "c", 14, "2", "3", "4").asks(all, "d", 14, "2", "3"), none}, // nobody knows where 4 came
		"linearizable: behind a default read":    {behindAnother(all), []checker.Kind{checker.Resurrected}},
		"linearizable: without a quorum, failed": {begin().do(history.Fail, history.Event{F: history.Read, Via: "c", Channel: "room", Linearizable: true}), none},
		"linearizable: overlapping":              {begin().overlaps(all, "2", "3"), none},
		"max staleness: young":                   {begin().asks(old(2), "c", 12, "2"), none}, // acknowledged when it was called
		"max staleness: too old":                 {begin().asks(old(1), "c", 12, "2"), []checker.Kind{checker.Behind}},
		"max staleness: too old, claimed":        {begin().asks(old(1), "c", 13, "2"), []checker.Kind{checker.Lost}},
		"max staleness: not even its own writes": {begin().asks(old(3), "a", 12, "2"), none},
		"max staleness: much too old":            {begin().asks(old(3), "a", 11, "1", "2"), []checker.Kind{checker.Behind}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := kinds(t, tt.s); !slices.Equal(got, tt.want) {
				r, _ := checker.Check(tt.s.events)
				t.Errorf("got %v, want %v\n%v", got, tt.want, r)
			}
		})
	}
}

// behindAnother shows at c that 2 has left, by a write that is not answered until the
// end, and then asks d.
func behindAnother(e history.Event) *story {
	s := begin()
	done := s.open(history.Event{F: history.Leave, Via: "a", Channel: "room", UID: "2", SID: "b"})
	s.asks(history.Event{}, "c", 20, "3").asks(e, "d", 20, "2", "3")
	return done(history.OK, func(e *history.Event) { e.Index = 20 })
}

// overlaps reads while a leave is under way that it does not show.
func (s *story) overlaps(e history.Event, uids ...string) *story {
	done := s.open(history.Event{F: history.Leave, Via: "a", Channel: "room", UID: "2", SID: "b"})
	s.asks(e, "c", 13, uids...)
	return done(history.OK, func(e *history.Event) { e.Index = 14 })
}

// What reads show of lives that end, and come back with their members.
func TestCheck_Lives(t *testing.T) {
	add, leave, ok, unknown := history.Add, history.Leave, history.OK, history.Unknown
	whole := func() *story { return begin().has("b", 3, "x") } // 2 and 3 are on b
	over := func() *story { return whole().note(history.Event{F: history.Ended, SID: "b", Epoch: 3, Index: 20}) }
	wrong := func(k ...checker.Kind) []checker.Kind { return k }
	none := wrong()
	for name, tt := range map[string]struct {
		s    *story
		want []checker.Kind
	}{
		"over: gone":                            {over().read("c", 20, 20), none},
		"over: ghosts":                          {over().read("c", 20, 20, "2", "3"), wrong(checker.Resurrected, checker.Resurrected)},
		"over: at one moment":                   {over().read("c", 14, 19, "2"), wrong(checker.Torn)},
		"over: before it was":                   {over().read("c", 14, 19, "2", "3"), none},
		"over: too early":                       {over().read("c", 13, 13), wrong(checker.Lost, checker.Lost)},
		"over: nobody saw it end":               {whole().read("c", 14, 14), wrong(checker.Lost, checker.Lost)},
		"over: it is not listed":                {whole().lists(15, "a", 2).write(ok, leave, "1", 3, 30).read("c", 30, 30), none},
		"over: it is not listed, ghosts":        {whole().lists(15, "a", 2).write(ok, leave, "1", 3, 30).read("c", 30, 30, "2", "3"), wrong(checker.Resurrected, checker.Resurrected)},
		"over: add for it":                      {over().write(ok, add, "4", 3, 21), wrong(checker.Fence)},
		"over: add that names none":             {over().write(ok, add, "4", 0, 21), wrong(checker.Fence)},
		"over: unknown add for it":              {over().write(unknown, add, "4", 3, 0).read("c", 20, 21, "4"), wrong(checker.Resurrected)},
		"over: written by it":                   {over().do(ok, history.Event{F: add, Via: "b", Channel: "room", UID: "4", SID: "a", Index: 21}), wrong(checker.Fence)},
		"resumed: back":                         {over().has("b", 40, "x").read("c", 40, 40, "2", "3"), none},
		"resumed: lost":                         {over().has("b", 40, "x").read("c", 40, 40, "2"), wrong(checker.Lost)},
		"resumed: parked until then":            {over().has("b", 40, "x").read("c", 39, 39), none},
		"resumed: too early":                    {over().has("b", 40, "x").read("c", 20, 39, "2", "3"), wrong(checker.Resurrected, checker.Resurrected)},
		"resumed: in one step":                  {over().has("b", 40, "x").read("c", 39, 40, "2"), wrong(checker.Torn)},
		"resumed: left while parked":            {over().write(ok, leave, "2", 3, 30).has("b", 40, "x").read("c", 40, 40, "3"), none},
		"resumed: left while parked, back":      {over().write(ok, leave, "2", 3, 30).has("b", 40, "x").read("c", 40, 40, "2", "3"), wrong(checker.Resurrected)},
		"resumed: add for the old life":         {over().has("b", 40, "x").write(ok, add, "4", 3, 41).read("c", 41, 41, "2", "3", "4"), none},
		"resumed: nothing was kept":             {over().note(resumed(3, 40, -1)).read("c", 40, 40), none},
		"resumed, then over":                    {over().has("b", 40, "x").has("b", 50, "y").read("c", 50, 50), none},
		"resumed, then over: ghosts":            {over().has("b", 40, "x").has("b", 50, "y").read("c", 50, 50, "2", "3"), wrong(checker.Resurrected, checker.Resurrected)},
		"another process: its members":          {over().has("b", 40, "y").write(ok, add, "4", 40, 41).read("c", 41, 41, "4"), none},
		"another process: resurrected":          {over().has("b", 40, "y").read("c", 40, 40, "2", "3"), wrong(checker.Resurrected, checker.Resurrected)},
		"another process: add for the old life": {over().has("b", 40, "y").write(ok, add, "4", 3, 41), wrong(checker.Fence)},
		"own leave, refused over the end":       {over().do(history.Fail, history.Event{F: leave, Via: "b", Channel: "room", UID: "2", SID: "b"}).has("b", 40, "x").read("c", 40, 40, "2", "3"), none},
		"own leave, refused and dropped":        {over().do(history.Fail, history.Event{F: leave, Via: "b", Channel: "room", UID: "2", SID: "b"}).has("b", 40, "x").read("c", 40, 40, "3"), wrong(checker.Lost)},
		"own leave, unknown and dropped":        {over().do(history.Unknown, history.Event{F: leave, Via: "b", Channel: "room", UID: "2", SID: "b"}).has("b", 40, "x").read("c", 40, 40, "3"), none},
	} {
		t.Run(name, func(t *testing.T) {
			if got := kinds(t, tt.s); !slices.Equal(got, tt.want) {
				r, _ := checker.Check(tt.s.events)
				t.Errorf("got %v, want %v\n%v", got, tt.want, r)
			}
		})
	}
}

// An add that was never answered does not come after a leave that the same process was
// called for later.
func TestCheck_OrderOfAProcess(t *testing.T) {
	inside := func(f history.F, start int, embedded bool, index uint64) history.Event {
		return history.Event{F: f, Via: "a", Start: start, Embedded: embedded, Channel: "room", UID: "4", SID: "b", Index: index}
	}
	for name, tt := range map[string]struct {
		start    int
		embedded bool
		want     []checker.Kind
	}{
		"inside":          {1, true, []checker.Kind{checker.Resurrected}},
		"outside":         {1, false, nil},
		"another process": {2, true, nil},
	} {
		s := begin().do(history.Unknown, inside(history.Add, 1, tt.embedded, 0)).do(history.OK, inside(history.Leave, tt.start, tt.embedded, 14))
		if got := kinds(t, s.read("c", 14, 15, "2", "3", "4")); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
	s := begin().do(history.Unknown, inside(history.Add, 1, true, 0)).do(history.OK, inside(history.Leave, 1, true, 14))
	if got := kinds(t, s.read("c", 12, 13, "2", "3", "4")); len(got) > 0 {
		t.Errorf("before the leave: got %v, want none", got)
	}
}
