package checker_test

import (
	"slices"
	"testing"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// pushStory is a story of pusher p and frontend f, in one room.
type pushStory struct {
	story
	life uint64
}

// open is an operation that has not returned.
type open struct {
	s *pushStory
	e history.Event
}

func (s *pushStory) invoke(e history.Event) open {
	s.op++
	e.Op, e.Channel, e.Type, e.At = s.op, "room", history.Invoke, s.tick()
	if e.Via == "" {
		e.Via = "p"
	}
	if e.Start == 0 {
		e.Start = 1
	}
	s.events = append(s.events, e)
	return open{s, e}
}

func (o open) done(t history.Type, change func(*history.Event)) *pushStory {
	o.e.Type, o.e.At = t, o.s.tick()
	if change != nil {
		change(&o.e)
	}
	o.s.events = append(o.s.events, o.e)
	return o.s
}

func (s *pushStory) add(uid string) open {
	return s.addVia("p", uid)
}

func (s *pushStory) addVia(via, uid string) open {
	return s.invoke(history.Event{F: history.Add, Via: via, UID: uid, SID: "f", Lives: map[string]uint64{"f": s.life}})
}

func (s *pushStory) leave(via, uid string) open {
	return s.invoke(history.Event{F: history.Leave, Via: via, UID: uid, SID: "f"})
}

func (o open) ok() *pushStory { return o.done(history.OK, nil) }

func (s *pushStory) push(msg string) open {
	return s.invoke(history.Event{F: history.Push, Msg: msg, Sum: "sum of " + msg})
}

// told ends a push with f's outcome, and who is undelivered.
func (o open) told(outcome history.Outcome, undelivered ...string) *pushStory {
	return o.done(history.OK, func(e *history.Event) {
		e.Answers, e.UIDs = []history.Answer{{SID: "f", Outcome: outcome}}, undelivered
		e.Lives = map[string]uint64{"f": o.s.life}
	})
}

func (s *pushStory) handed(msg string, uids ...string) *pushStory {
	return s.handedAs(history.Event{Msg: msg, UIDs: uids})
}

func (s *pushStory) handedAs(e history.Event) *pushStory {
	e.F, e.Via, e.From, e.Channel = history.Handed, "f", "p", "room"
	if e.Sum == "" {
		e.Sum = "sum of " + e.Msg
	}
	if e.Start == 0 {
		e.Start = 1
	}
	s.note(e)
	return s
}

func (s *pushStory) started(sid string, start int) *pushStory {
	s.note(history.Event{F: history.Started, Via: sid, Start: start})
	return s
}

// room has ann, as p was told.
func room() *pushStory {
	return (&pushStory{life: 7}).started("p", 1).started("f", 1).add("ann").ok()
}

func TestCheckPushes_PlantedFaults(t *testing.T) {
	type of = []checker.Kind
	for name, tt := range map[string]struct {
		s    func() *pushStory
		want of
	}{
		"nothing wrong": {func() *pushStory {
			p := room().push("m")
			p.s.handed("m", "ann")
			return p.told(history.Delivered)
		}, nil},
		"handed over twice": {func() *pushStory {
			p := room().push("m")
			p.s.handed("m", "ann").handed("m", "ann")
			return p.told(history.Delivered)
		}, of{checker.Twice}},
		"handed over to two lives": {func() *pushStory {
			p := room().push("m")
			p.s.handed("m", "ann").started("f", 2).add("ann").ok().handedAs(history.Event{Msg: "m", Start: 2, UIDs: []string{"ann"}})
			return p.told(history.Uncertain, "ann")
		}, of{checker.Twice}},
		"a uid twice": {func() *pushStory {
			p := room().push("m")
			p.s.handed("m", "ann", "ann")
			return p.told(history.Delivered)
		}, of{checker.Twice}},
		"altered": {func() *pushStory {
			p := room().push("m")
			p.s.handedAs(history.Event{Msg: "m", Sum: "another", UIDs: []string{"ann"}})
			return p.told(history.Delivered)
		}, of{checker.Altered}},
		"never pushed": {func() *pushStory { return room().handed("m", "ann") }, of{checker.Altered}},
		"overtaken": {func() *pushStory {
			s := room().push("1").told(history.Uncertain, "ann").push("2").told(history.Uncertain, "ann")
			return s.handed("2", "ann").handed("1", "ann")
		}, of{checker.Overtaken}},
		"overlapping calls have no order": {func() *pushStory {
			first := room().push("1")
			second := first.s.push("2")
			first.told(history.Uncertain, "ann")
			return second.told(history.Uncertain, "ann").handed("2", "ann").handed("1", "ann")
		}, nil},
		"an urgent one may overtake": {func() *pushStory {
			s := room().push("1").told(history.Uncertain, "ann")
			s.invoke(history.Event{F: history.Push, Msg: "2", Sum: "sum of 2", Urgent: true}).told(history.Uncertain, "ann")
			return s.handed("2", "ann").handed("1", "ann")
		}, nil},
		"another life has another order": {func() *pushStory {
			s := room().push("1").told(history.Uncertain, "ann").push("2").told(history.Uncertain, "ann")
			return s.handed("2", "ann").started("f", 2).add("ann").ok().handedAs(history.Event{Msg: "1", Start: 2, UIDs: []string{"ann"}})
		}, nil},
		"delivered, to nobody": {func() *pushStory { return room().push("m").told(history.Delivered) }, of{checker.Lost}},
		"delivered, but not to ann": {func() *pushStory {
			p := room().addVia("q", "bob").ok().push("m")
			p.s.handed("m", "bob")
			return p.told(history.Delivered)
		}, of{checker.Lost}},
		"not delivered, and handed over": {func() *pushStory {
			p := room().push("m")
			p.s.handed("m", "ann")
			return p.told(history.NotDelivered, "ann")
		}, of{checker.Misreported}},
		"not delivered, handed over later": {func() *pushStory {
			return room().push("m").told(history.NotDelivered, "ann").handed("m", "ann")
		}, of{checker.Misreported}},
		"not delivered, and said so": {func() *pushStory { return room().push("m").told(history.NotDelivered, "ann") }, nil},
		"not delivered, ann not named": {func() *pushStory {
			return room().push("m").told(history.NotDelivered, "bob")
		}, of{checker.Lost}},
		"unknown, ann not named": {func() *pushStory { return room().push("m").told(history.Uncertain) }, of{checker.Lost}},
		"unknown, either way": {func() *pushStory {
			return room().push("1").told(history.Uncertain, "ann").push("2").told(history.Uncertain, "ann").handed("2", "ann")
		}, nil},
		"the server is not named": {func() *pushStory {
			return room().push("m").done(history.OK, func(e *history.Event) { e.Lives = map[string]uint64{"f": 7} })
		}, of{checker.Lost}},
		"handed over by a server that is not named": {func() *pushStory {
			p := room().push("m")
			p.s.handed("m", "ann")
			return p.done(history.OK, nil)
		}, of{checker.Misreported}},
		"never sent, and handed over": {func() *pushStory {
			return room().push("m").done(history.Fail, nil).handed("m", "ann")
		}, of{checker.Misreported}},
		"no outcome": {func() *pushStory { return room().push("m").told("", "ann") }, of{checker.Misreported}},
		"offline, not reported": {func() *pushStory {
			p := room().push("m")
			p.s.handedAs(history.Event{Msg: "m", UIDs: []string{"ann"}, Offline: []string{"ann"}})
			return p.told(history.Delivered)
		}, of{checker.Misreported}},
		"offline, not among the undelivered": {func() *pushStory {
			p := room().push("m")
			p.s.handedAs(history.Event{Msg: "m", UIDs: []string{"ann"}, Offline: []string{"ann"}})
			return p.done(history.OK, func(e *history.Event) {
				e.Answers = []history.Answer{{SID: "f", Outcome: history.Delivered, Offline: []string{"ann"}}}
			})
		}, of{checker.Misreported}},

		"added elsewhere, nothing is owed": {func() *pushStory {
			return room().addVia("q", "bob").ok().push("m").told(history.NotDelivered, "ann")
		}, nil},
		"added by an earlier process, nothing is owed": {func() *pushStory {
			s := room().started("p", 2)
			return s.invoke(history.Event{F: history.Push, Start: 2, Msg: "m", Sum: "sum of m"}).told(history.NotDelivered)
		}, nil},
		"added while it was pushed, nothing is owed": {func() *pushStory {
			add := room().add("bob")
			p := add.s.push("m")
			add.ok()
			p.s.handed("m", "ann")
			return p.told(history.Delivered)
		}, nil},
		"removed meanwhile by somebody": {func() *pushStory {
			p := room().push("m")
			p.s.leave("q", "ann").ok()
			return p.told(history.Delivered)
		}, nil},
		"a removal that may have been": {func() *pushStory {
			return room().leave("q", "ann").done(history.Unknown, nil).push("m").told(history.Delivered)
		}, nil},
		"a removal that was refused": {func() *pushStory {
			return room().leave("q", "ann").done(history.Fail, nil).push("m").told(history.Delivered)
		}, of{checker.Lost}},
		"a removal before the add": {func() *pushStory {
			return room().leave("q", "ann").ok().add("ann").ok().push("m").told(history.Delivered)
		}, of{checker.Lost}},
		"a removal after the push": {func() *pushStory {
			return room().push("m").told(history.Delivered).leave("q", "ann").ok()
		}, of{checker.Lost}},
		"the channel was destroyed": {func() *pushStory {
			return room().invoke(history.Event{F: history.Destroy, Via: "q"}).ok().push("m").told(history.Delivered)
		}, nil},
		"ann left every channel": {func() *pushStory {
			return room().invoke(history.Event{F: history.LeaveAll, Via: "q", UID: "ann", SID: "f"}).ok().push("m").told(history.Delivered)
		}, nil},
		"the life ended, as p knew": {func() *pushStory {
			s := room()
			s.life = 8
			return s.push("m").told(history.Delivered)
		}, nil},

		"reached after the pusher had removed her": {func() *pushStory {
			p := room().leave("p", "ann").ok().push("m")
			p.s.handed("m", "ann")
			return p.told(history.Delivered)
		}, of{checker.Resurrected}},
		"reached after the pusher had destroyed the channel": {func() *pushStory {
			p := room().invoke(history.Event{F: history.Destroy}).ok().push("m")
			p.s.handed("m", "ann")
			return p.told(history.Delivered)
		}, of{checker.Resurrected}},
		"reached after somebody else had removed her": {func() *pushStory {
			p := room().leave("q", "ann").ok().push("m")
			p.s.handed("m", "ann")
			return p.told(history.Delivered)
		}, nil},
		"removed, and added again by somebody": {func() *pushStory {
			p := room().leave("p", "ann").ok().addVia("q", "ann").done(history.Unknown, nil).push("m")
			p.s.handed("m", "ann")
			return p.told(history.Delivered)
		}, nil},
		"removed, and added again too late": {func() *pushStory {
			p := room().leave("p", "ann").ok().push("m")
			p.s.handed("m", "ann").addVia("q", "ann").ok()
			return p.told(history.Delivered)
		}, of{checker.Resurrected}},
		"removed while it was pushed": {func() *pushStory {
			leave := room().leave("p", "ann")
			p := leave.s.push("m")
			leave.ok()
			p.s.handed("m", "ann")
			return p.told(history.Delivered)
		}, nil},
		"somebody whom nobody added": {func() *pushStory {
			p := room().push("m")
			p.s.handed("m", "ann", "zoe")
			return p.told(history.Delivered)
		}, of{checker.Phantom}},
		"somebody whose add was refused": {func() *pushStory {
			p := room().add("zoe").done(history.Fail, nil).push("m")
			p.s.handed("m", "ann", "zoe")
			return p.told(history.Delivered)
		}, of{checker.Phantom}},
		"a member of a dead process": {func() *pushStory {
			s := room().started("f", 2)
			s.life = 8
			p := s.push("m")
			s.handedAs(history.Event{Msg: "m", Start: 2, UIDs: []string{"ann"}})
			return p.told(history.Delivered)
		}, of{checker.Resurrected}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := checker.CheckPushes(tt.s().events)
			if err != nil {
				t.Fatal(err)
			}
			var got of
			for _, v := range r.Violations {
				got = append(got, v.Kind)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v\n%v", got, tt.want, r)
			}
		})
	}
}

func TestCheckPushes_RefusesWhatItCannotJudge(t *testing.T) {
	for name, s := range map[string]*pushStory{
		"two of one name": room().push("m").told(history.Delivered).push("m").told(history.Delivered),
		"without a name":  room().push("").told(history.Delivered),
		"not a history":   {story: story{events: []history.Event{{Type: history.OK, Op: 1}}}},
	} {
		if _, err := checker.CheckPushes(s.events); err == nil {
			t.Errorf("%s: judged", name)
		}
	}
}

func TestCheckPushes_Counts(t *testing.T) {
	s := room()
	p := s.push("1")
	s.handed("1", "ann")
	p.told(history.Delivered)
	p = s.add("bob").ok().leave("p", "bob").ok().push("2")
	s.handed("2", "ann")
	p.told(history.Delivered).push("3").told(history.NotDelivered, "ann").push("4").told(history.Uncertain, "ann")
	s.started("f", 2).add("ann").ok()
	p = s.push("5")
	s.handedAs(history.Event{Msg: "5", Start: 2, UIDs: []string{"ann"}})
	p.told(history.Delivered)
	got, err := checker.CheckPushes(s.events)
	if err != nil {
		t.Fatal(err)
	}
	want := checker.PushReport{
		Pushes: 5, Delivered: 3, NotDelivered: 1, Open: 1, Handed: 3, Owed: 5, Reached: 3, Left: 2, Ordered: 1, Restarted: 1,
	}
	if got.String() != want.String() {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
