package checker

import (
	"slices"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// story is a history of one player at server a, second by second; all are well from the
// first second on.
type story struct {
	events []history.Event
	ops    int
	start  int
}

func (s *story) note(at float64, e history.Event) *story {
	e.Type, e.At = history.Note, time.Duration(at*float64(time.Second))
	s.events = append(s.events, e)
	return s
}

func (s *story) started(at float64) *story {
	s.start++
	return s.note(at, history.Event{F: history.Started, Via: "a", Start: s.start})
}

func (s *story) whole(at float64) *story { return s.note(at, history.Event{F: history.Whole}) }
func (s *story) hurt(at float64) *story  { return s.note(at, history.Event{F: history.Hurt}) }

func (s *story) session(at float64, f history.F, token uint64) *story {
	return s.note(at, history.Event{F: f, UID: "u", SID: "a", Start: s.start, Session: token})
}

func (s *story) does(at float64, f history.F, token uint64, t history.Type) *story {
	return s.op(at, history.Event{F: f, UID: "u", SID: "a", Via: "a", Channel: "room", Start: s.start, Session: token}, t)
}

// sees is a read that shows the player, so often.
func (s *story) sees(at float64, times int) *story {
	return s.op(at, history.Event{F: history.Read, Via: "b", Channel: "room", Members: slices.Repeat([]history.Member{{UID: "u", SID: "a"}}, times)}, history.OK)
}

func (s *story) op(at float64, e history.Event, t history.Type) *story {
	s.ops++
	e.Op, e.Type, e.At = s.ops, history.Invoke, time.Duration(at*float64(time.Second))
	members := e.Members
	e.Members = nil
	s.events = append(s.events, e)
	e.Type, e.Members, e.At = t, members, e.At+time.Duration(100*time.Millisecond)
	s.events = append(s.events, e)
	return s
}

func began() *story { return new(story).started(0).whole(1) }

// joined is session 1, which has joined.
func joined() *story {
	return began().session(2, history.Opened, 1).does(3, history.Add, 1, history.OK)
}

func TestCheckSessions(t *testing.T) {
	const none = Kind("")
	for name, tt := range map[string]struct {
		s    *story
		want Kind
	}{
		"she is there":                   {joined().sees(5, 1), none},
		"she is there twice":             {joined().sees(5, 2), Duplicate},
		"she is not there":               {joined().sees(5, 0), Lost},
		"she has only just joined":       {joined().sees(3.5, 0), none},
		"not there while somebody hurts": {joined().hurt(4).sees(5, 0), none},
		"nor right after":                {joined().hurt(4).whole(9).sees(9.5, 0), none},
		"but then":                       {joined().hurt(4).whole(9).sees(10.5, 0), Lost},
		"nobody knows whether she joined": {
			began().session(2, history.Opened, 1).does(3, history.Add, 1, history.Unknown).sees(50, 0).sees(51, 1), none},
		"she was refused":   {began().session(2, history.Opened, 1).does(3, history.Add, 1, history.Fail).sees(5, 1), Phantom},
		"she never joined":  {began().session(2, history.Opened, 1).sees(5, 1), Phantom},
		"she has not yet":   {began().session(2, history.Opened, 1).sees(2.5, 1).does(3, history.Add, 1, history.OK), Phantom},
		"she has left":      {joined().does(4, history.Leave, 1, history.OK).sees(6, 1), Resurrected},
		"and is not there":  {joined().does(4, history.Leave, 1, history.OK).sees(6, 0), none},
		"and has come back": {joined().does(4, history.Leave, 1, history.OK).does(5, history.Add, 1, history.OK).sees(7, 1), none},
		"or has not":        {joined().does(4, history.Leave, 1, history.OK).does(5, history.Add, 1, history.OK).sees(7, 0), Lost},
		"nobody knows whether she has left": {
			joined().does(4, history.Leave, 1, history.Unknown).sees(20, 0).sees(21, 1), none},

		"closed a moment ago":    {joined().session(10, history.Closed, 1).sees(19, 1), none},
		"closed long ago":        {joined().session(10, history.Closed, 1).sees(21, 1), Resurrected},
		"closed, and gone":       {joined().session(10, history.Closed, 1).sees(11, 0).sees(21, 0), none},
		"closed while they hurt": {joined().hurt(9).session(10, history.Closed, 1).whole(50).sees(59, 1), none},
		"and long ago":           {joined().hurt(9).session(10, history.Closed, 1).whole(50).sees(61, 1), Resurrected},
		"vanished a while ago":   {joined().session(10, history.Vanished, 1).sees(69, 1), none},
		"vanished long ago":      {joined().session(10, history.Vanished, 1).sees(71, 1), Resurrected},
		"vanished, then closed": {
			joined().session(10, history.Vanished, 1).session(20, history.Opened, 2).session(21, history.Closed, 2).sees(32, 1), Resurrected},
		"vanished, and back": {
			joined().session(10, history.Vanished, 1).session(60, history.Opened, 2).sees(100, 1), none},

		"her newer connection has joined before the old one closed": {
			joined().session(5, history.Opened, 2).does(6, history.Add, 2, history.OK).session(7, history.Closed, 1).sees(9, 0), Lost},
		"and stays": {
			joined().session(5, history.Opened, 2).does(6, history.Add, 2, history.OK).session(7, history.Closed, 1).sees(90, 1), none},
		"the old one has left, which is nothing to the newer one": {
			joined().session(5, history.Opened, 2).does(6, history.Add, 2, history.OK).does(7, history.Leave, 1, history.OK).sees(90, 1), none},
		"and she is there": {
			joined().session(5, history.Opened, 2).does(6, history.Add, 2, history.OK).does(7, history.Leave, 1, history.OK).sees(90, 0), Lost},
		"she may have left, and joined again": {
			joined().does(4, history.Leave, 1, history.Unknown).does(20, history.Add, 1, history.OK).sees(90, 0), Lost},
		"it has not joined": {
			joined().session(5, history.Opened, 2).session(7, history.Closed, 1).sees(8, 0).sees(18, 1), Resurrected},

		"the next process of the server knows her no more": {
			joined().hurt(10).started(12).whole(14).sees(25, 1), Resurrected},
		"or does, so soon":       {joined().hurt(10).started(12).whole(14).sees(23, 1), none},
		"and owes nothing":       {joined().hurt(10).started(12).whole(14).sees(16, 0), none},
		"nothing came back":      {joined().hurt(4).note(5, history.Event{F: history.Resumed, SID: "a", Missed: -1}).whole(6).sees(9, 0), none},
		"all came back but her":  {joined().hurt(4).note(5, history.Event{F: history.Resumed, SID: "a"}).whole(6).sees(9, 0), Lost},
		"nothing came back to b": {joined().hurt(4).note(5, history.Event{F: history.Resumed, SID: "b", Missed: -1}).whole(6).sees(9, 0), Lost},
	} {
		r, err := CheckSessions(tt.s.events)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var kinds []Kind
		for _, v := range r.Violations {
			kinds = append(kinds, v.Kind)
		}
		if tt.want == none && len(kinds) > 0 || tt.want != none && !slices.Equal(kinds, []Kind{tt.want}) {
			t.Errorf("%s: want %q: %v", name, tt.want, r)
		}
	}
}

func TestCheckSessions_RefusesWhatIsNoHistory(t *testing.T) {
	for name, s := range map[string]*story{
		"a session that never began":  began().does(3, history.Add, 1, history.OK),
		"an end of none":              began().session(3, history.Closed, 1),
		"two ends":                    joined().session(5, history.Closed, 1).session(6, history.Vanished, 1),
		"a newer session that is not": joined().session(5, history.Opened, 1),
	} {
		if r, err := CheckSessions(s.events); err == nil {
			t.Errorf("%s: %v", name, r)
		}
	}
}
