package checker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// Bounds of what is asked, counted from when something was done, or from when everybody
// was well again after a fault, whichever is later.
const (
	// settled is when every server shows a write that was acknowledged.
	settled = time.Second
	// parted is when nobody shows a member any more whose session was closed, or whose
	// process is dead and followed by another one.
	parted = 10 * time.Second
	// outlived is how long a member may outlive a session that its host has forgotten.
	outlived = time.Minute
)

// SessionReport is the verdict on the sessions of a history, with the counts that say
// whether it was worth judging.
type SessionReport struct {
	Sessions, Closed, Vanished int
	Adds, Reads                int // acknowledged
	Calm                       int // reads while all were well
	Shown                      int // members that a read had to show
	Left, Parted, Forgotten    int // members that it had not to: they had left, their sessions were closed, or had vanished
	Violations                 []Violation
}

func (r SessionReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d sessions, of which %d were closed and %d vanished; %d adds, %d reads, %d of them while all were well: %d members had to be there, %d had left, %d were closed, %d forgotten; %d violations",
		r.Sessions, r.Closed, r.Vanished, r.Adds, r.Reads, r.Calm, r.Shown, r.Left, r.Parted, r.Forgotten, len(r.Violations))
	tell(&b, r.Violations)
	return b.String()
}

// session is one connection. Times that did not come are history.Forever.
type session struct {
	start         int
	token         uint64
	opened, ended time.Duration
	closed        time.Duration // it, or a newer one of the process; or the next process was started
	adds, leaves  []history.Operation
}

// fan is all sessions of one player at one server, in their order.
type fan struct {
	member   history.Member
	sessions []*session
}

type sessionJudge struct {
	report  SessionReport
	fans    map[history.Member]*fan
	order   []*fan
	well    [][2]time.Duration               // from Whole to Hurt
	emptied map[string][]time.Duration       // when a server was told that its members did not come back
	started map[string]map[int]time.Duration // processes, by sid
}

// CheckSessions judges who is shown by who is connected. The error is about the history.
func CheckSessions(events []history.Event) (SessionReport, error) {
	ops, err := history.Operations(events)
	if err != nil {
		return SessionReport{}, err
	}
	j := &sessionJudge{fans: make(map[history.Member]*fan), emptied: make(map[string][]time.Duration), started: make(map[string]map[int]time.Duration)}
	for _, e := range events {
		if err := j.note(e); err != nil {
			return SessionReport{}, err
		}
	}
	for _, op := range ops {
		if op.Session == 0 || op.F == history.Read {
			continue
		}
		s := j.find(op.Event)
		if s == nil {
			return SessionReport{}, fmt.Errorf("operation %d: session %d of %s at %s was never opened", op.Op, op.Session, op.UID, op.SID)
		}
		switch {
		case op.Type == history.Fail: // no effect, now or later
		case op.F == history.Add:
			s.adds = append(s.adds, op)
		default:
			s.leaves = append(s.leaves, op)
		}
		if op.F == history.Add && op.Type == history.OK {
			j.report.Adds++
		}
	}
	j.end()
	for _, op := range ops {
		if op.F == history.Read && op.Type == history.OK {
			j.read(op)
		}
	}
	return j.report, nil
}

func (j *sessionJudge) note(e history.Event) error {
	switch e.F {
	case history.Whole:
		j.well = append(j.well, [2]time.Duration{e.At, history.Forever})
	case history.Hurt:
		if n := len(j.well); n > 0 {
			j.well[n-1][1] = min(j.well[n-1][1], e.At)
		}
	case history.Started:
		if j.started[e.Via] == nil {
			j.started[e.Via] = make(map[int]time.Duration)
		}
		j.started[e.Via][e.Start] = e.At
	case history.Resumed:
		if e.Missed < 0 {
			j.emptied[e.SID] = append(j.emptied[e.SID], e.At)
		}
	case history.Opened:
		key := history.Member{UID: e.UID, SID: e.SID}
		if j.fans[key] == nil {
			j.fans[key] = &fan{member: key}
			j.order = append(j.order, j.fans[key])
		}
		f := j.fans[key]
		s := &session{start: e.Start, token: e.Session, opened: e.At, ended: history.Forever, closed: history.Forever}
		if n := len(f.sessions); e.Start == 0 || n > 0 && f.sessions[n-1].compare(s) >= 0 {
			return fmt.Errorf("session %d of %s at process %d of %s is no newer one", e.Session, e.UID, e.Start, e.SID)
		}
		f.sessions = append(f.sessions, s)
		j.report.Sessions++
	case history.Closed, history.Vanished:
		s := j.find(e)
		if s == nil || s.ended != history.Forever {
			return fmt.Errorf("session %d of %s at %s is not open and ends", e.Session, e.UID, e.SID)
		}
		if s.ended = e.At; e.F == history.Closed {
			s.closed = e.At
			j.report.Closed++
		} else {
			j.report.Vanished++
		}
	}
	return nil
}

func (s *session) compare(t *session) int {
	return cmp.Or(cmp.Compare(s.start, t.start), cmp.Compare(s.token, t.token))
}

func (j *sessionJudge) find(e history.Event) *session {
	f := j.fans[history.Member{UID: e.UID, SID: e.SID}]
	if f == nil {
		return nil
	}
	want := &session{start: e.Start, token: e.Session}
	i, found := slices.BinarySearchFunc(f.sessions, want, (*session).compare)
	if !found {
		return nil
	}
	return f.sessions[i]
}

// end follows what ends sessions besides their own end: the next process of the server,
// and, of those whose host forgot them, the closing of a newer one.
func (j *sessionJudge) end() {
	for _, f := range j.order {
		closed := history.Forever
		for i, s := range slices.Backward(f.sessions) {
			if next, ok := j.started[f.member.SID][s.start+1]; ok {
				s.ended, s.closed = min(s.ended, next), min(s.closed, next)
			}
			if i+1 < len(f.sessions) && f.sessions[i+1].start == s.start {
				s.closed = min(s.closed, closed)
			}
			closed = s.closed
		}
	}
}

// calm is when all began to be well that were so during the whole read.
func (j *sessionJudge) calm(r history.Operation) (since time.Duration, ok bool) {
	for _, w := range j.well {
		if w[0] < r.Invoked && r.Returned < w[1] {
			return w[0], true
		}
	}
	return 0, false
}

func (j *sessionJudge) fault(kind Kind, r history.Operation, format string, args ...any) {
	j.report.Violations = append(j.report.Violations, Violation{kind, r.Op, fmt.Sprintf(format, args...)})
}

func (j *sessionJudge) read(r history.Operation) {
	j.report.Reads++
	since, calm := j.calm(r)
	if calm {
		j.report.Calm++
	}
	shown := make(map[history.Member]bool)
	for _, m := range r.Members {
		switch {
		case shown[m]:
			j.fault(Duplicate, r, "%s shows %s of %s in %s twice", r.Via, m.UID, m.SID, r.Channel)
		case j.fans[m] == nil || !j.fans[m].added(r):
			j.fault(Phantom, r, "%s shows %s of %s in %s, which no session of theirs has joined", r.Via, m.UID, m.SID, r.Channel)
		}
		shown[m] = true
	}
	if !calm {
		return
	}
	for _, f := range j.order {
		if !f.added(r) {
			continue
		}
		if why, count := j.absent(f, r, since); why != "" {
			*count++
			if shown[f.member] {
				j.fault(Resurrected, r, "%s shows %s of %s in %s: %s", r.Via, f.member.UID, f.member.SID, r.Channel, why)
			}
		}
		if f.present(r, since, j.emptied[f.member.SID]) {
			j.report.Shown++
			if !shown[f.member] {
				j.fault(Lost, r, "%s does not show %s of %s in %s, who is connected and has joined", r.Via, f.member.UID, f.member.SID, r.Channel)
			}
		}
	}
}

// added says that somebody may have joined before the read returned.
func (f *fan) added(r history.Operation) bool {
	for _, s := range f.sessions {
		for _, a := range s.adds {
			if a.Channel == r.Channel && a.Invoked < r.Returned {
				return true
			}
		}
	}
	return false
}

// absent says why no read that far after since may show the player, and counts that; "":
// one may.
func (j *sessionJudge) absent(f *fan, r history.Operation, since time.Duration) (why string, count *int) {
	over := func(at, bound time.Duration) bool { return at != history.Forever && max(at, since)+bound <= r.Invoked }
	left := time.Duration(0) // when the player was connected last
	for _, s := range f.sessions {
		if s.opened < r.Returned {
			left = max(left, s.ended)
		}
	}
	for _, s := range f.sessions {
		for _, a := range s.adds {
			switch {
			case a.Channel != r.Channel || a.Invoked >= r.Returned:
			case over(s.closed, parted):
				why, count = fmt.Sprintf("session %d was closed at %v", s.token, s.closed), &j.report.Parted
			case f.leftAfter(s, a, func(at time.Duration) bool { return over(at, settled) }):
				why, count = fmt.Sprintf("session %d or a newer one has left", s.token), &j.report.Left
			case over(left, outlived):
				why, count = fmt.Sprintf("all their sessions ended, the last one at %v", left), &j.report.Forgotten
			default:
				return "", nil
			}
		}
	}
	return why, count
}

// leftAfter says that the session, or a newer one of the process, has left after it had
// joined, so long ago.
func (f *fan) leftAfter(s *session, a history.Operation, ago func(time.Duration) bool) bool {
	for _, t := range f.sessions {
		if t.start != s.start || t.token < s.token {
			continue
		}
		for _, l := range t.leaves {
			if l.Channel == a.Channel && l.Type == history.OK && l.Invoked > a.Returned && ago(l.Returned) {
				return true
			}
		}
	}
	return false
}

// present says that a read so far after since must show the player: the newest session is
// connected, has joined, and nobody has left, or lost all members, since.
func (f *fan) present(r history.Operation, since time.Duration, emptied []time.Duration) bool {
	var s *session
	for _, t := range f.sessions {
		if t.opened < r.Returned {
			s = t
		}
	}
	if s == nil || s.ended <= r.Returned {
		return false
	}
	return slices.ContainsFunc(s.adds, func(a history.Operation) bool {
		if a.Channel != r.Channel || a.Type != history.OK || max(a.Returned, since)+settled > r.Invoked {
			return false
		}
		for _, l := range s.leaves { // those of older sessions are nothing to this one
			// A process does one after the other, also what its caller gave up.
			if l.Channel == r.Channel && l.GaveUp > a.Invoked && l.Invoked < r.Returned {
				return false
			}
		}
		return !slices.ContainsFunc(emptied, func(at time.Duration) bool { return a.Invoked < at && at < r.Returned })
	})
}
