package checker

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// PushReport is the verdict on the pushes of a history, with the counts that say
// whether it was worth judging.
type PushReport struct {
	Pushes                        int // that returned a report
	Delivered, NotDelivered, Open int // servers in those; Open: unknown
	Handed                        int // calls of handlers
	Owed                          int // memberships that a push had to reach or to name, by what its process had been told
	Reached                       int // of those: reached
	Left                          int // memberships that a push had not to reach, by what its process had been told
	Ordered                       int // pushes handed over after another one that had returned before they were called
	Restarted                     int // servers of which two processes or more were handed something
	Violations                    []Violation
}

func (r PushReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d pushes; servers: %d delivered, %d not, %d unknown; handed over %d times, %d of them after an earlier one; %d memberships owed, of which %d reached, and %d that had left; %d frontends were handed something in two lives or more; %d violations",
		r.Pushes, r.Delivered, r.NotDelivered, r.Open, r.Handed, r.Ordered, r.Owed, r.Reached, r.Left, r.Restarted, len(r.Violations))
	tell(&b, r.Violations)
	return b.String()
}

// process is one start of a server.
type process struct {
	sid   string
	start int
}

func processOf(e history.Event) process { return process{e.Via, e.Start} }

// handing is one call of a handler.
type handing struct {
	history.Event
	push *history.Operation
}

// pushJudge holds reports and handings against each other.
type pushJudge struct {
	report  PushReport
	ops     []history.Operation
	pushes  map[string]*history.Operation // by message
	handed  map[string][]handing          // by message, in the order of the calls
	members *memberships
}

// CheckPushes judges pushes and what handlers were handed. Which of two events came
// first is taken from their places in the history, not from their times: simulated
// clocks stand still while much happens. The error is about the history.
func CheckPushes(events []history.Event) (PushReport, error) {
	events = places(events)
	ops, err := history.Operations(events)
	if err != nil {
		return PushReport{}, err
	}
	j := &pushJudge{
		ops: ops, pushes: make(map[string]*history.Operation), handed: make(map[string][]handing),
		members: readMemberships(ops, events),
	}
	for i := range ops {
		op := &ops[i]
		if op.F != history.Push {
			continue
		}
		if op.Msg == "" || op.Start == 0 || j.pushes[op.Msg] != nil {
			return PushReport{}, fmt.Errorf("operation %d: message %q has no name of its own, or no process", op.Op, op.Msg)
		}
		j.pushes[op.Msg] = op
	}
	j.judge(events)
	return j.report, nil
}

func (j *pushJudge) judge(events []history.Event) {
	starts := make(map[string]map[int]bool)
	var list []handing
	for _, e := range events {
		if e.F != history.Handed {
			continue
		}
		j.report.Handed++
		if starts[e.Via] == nil {
			starts[e.Via] = make(map[int]bool)
		}
		starts[e.Via][e.Start] = true
		if h := (handing{e, j.pushes[e.Msg]}); j.genuine(h) {
			list = append(list, h)
			j.handed[e.Msg] = append(j.handed[e.Msg], h)
		}
	}
	for _, s := range starts {
		if len(s) > 1 {
			j.report.Restarted++
		}
	}
	j.order(list)
	for _, h := range list {
		j.unwanted(h)
	}
	for _, op := range j.ops {
		if op.F == history.Push {
			j.push(op)
		}
	}
}

func (j *pushJudge) fault(kind Kind, op int, format string, args ...any) {
	j.report.Violations = append(j.report.Violations, Violation{kind, op, fmt.Sprintf(format, args...)})
}

// genuine says that what was handed over was pushed like that.
func (j *pushJudge) genuine(h handing) bool {
	p := h.push
	if p == nil || p.Invoked > h.At {
		j.fault(Altered, 0, "%s was handed %q, which nobody had pushed", h.Via, h.Msg)
		return false
	}
	if h.Sum != p.Sum || h.Channel != p.Channel || h.From != p.Via {
		j.fault(Altered, p.Op, "%s was handed %s of %s in %s with hash %s; pushed was it by %s in %s with hash %s",
			h.Via, h.Msg, h.From, h.Channel, h.Sum, p.Via, p.Channel, p.Sum)
	}
	return true
}

// order compares the calls of handlers with those of pushers, by pusher, channel,
// lane and frontend.
func (j *pushJudge) order(list []handing) {
	type lane struct {
		from, to process
		channel  string
		urgent   bool
	}
	newest := make(map[lane]*history.Operation) // the one that was called last, of those handed over
	for _, h := range list {
		l := lane{processOf(h.push.Event), processOf(h.Event), h.push.Channel, h.push.Urgent}
		last := newest[l]
		switch {
		case last == nil || h.push.Invoked > last.Invoked:
			if last != nil && last.Returned < h.push.Invoked {
				j.report.Ordered++
			}
			newest[l] = h.push
		case h.push.Returned < last.Invoked:
			j.fault(Overtaken, h.push.Op, "%s handed over %s after %s, which was pushed when the former had returned", h.Via, h.Msg, last.Msg)
		}
	}
}

// push holds a push's report against what the frontends say.
func (j *pushJudge) push(p history.Operation) {
	at := make(map[string][]handing)
	for _, h := range j.handed[p.Msg] {
		at[h.Via] = append(at[h.Via], h)
	}
	for sid, calls := range at {
		// The push named one life of the server, so two processes are as wrong as one twice.
		if len(calls) > 1 {
			j.fault(Twice, p.Op, "%s was handed over %d times at %s", p.Msg, len(calls), sid)
		}
		if p.Type == history.Fail {
			j.fault(Misreported, p.Op, "%s was handed over at %s, but is said to have never been sent: %s", p.Msg, sid, p.Text)
		}
	}
	if p.Type != history.OK {
		return // nobody was told anything
	}
	j.report.Pushes++
	answers := make(map[string]history.Answer)
	for _, a := range p.Answers {
		answers[a.SID] = a
		j.answer(p, a, at[a.SID])
	}
	for sid := range at {
		if _, named := answers[sid]; !named {
			j.fault(Misreported, p.Op, "%s was handed over at %s, which the report does not name", p.Msg, sid)
		}
	}
	for where := range j.members.owedTo(p) {
		j.report.Owed++
		reached := slices.ContainsFunc(at[where.sid], func(h handing) bool { return slices.Contains(h.UIDs, where.uid) })
		a, named := answers[where.sid]
		switch {
		case reached:
			j.report.Reached++
		case !named:
			j.fault(Lost, p.Op, "%s did not reach %s, and the report does not name %s", p.Msg, where.uid, where.sid)
		case a.Outcome == history.Delivered:
			j.fault(Lost, p.Op, "%s did not reach %s, and %s is reported as delivered", p.Msg, where.uid, where.sid)
		case !slices.Contains(p.UIDs, where.uid):
			j.fault(Lost, p.Op, "%s did not reach %s of %s (%s: %s), who is not among the undelivered", p.Msg, where.uid, where.sid, a.Outcome, a.Text)
		}
	}
}

// answer compares what one server is said to have done with what it did.
func (j *pushJudge) answer(p history.Operation, a history.Answer, calls []handing) {
	switch a.Outcome {
	case history.Delivered:
		j.report.Delivered++
		var offline []string
		for _, h := range calls { // none: everybody had left meanwhile, or owedTo knows better
			offline = append(offline, h.Offline...)
		}
		if !sameElements(offline, a.Offline) {
			j.fault(Misreported, p.Op, "%s called %v offline, reported are %v", a.SID, offline, a.Offline)
		}
		for _, uid := range a.Offline {
			if !slices.Contains(p.UIDs, uid) {
				j.fault(Misreported, p.Op, "%s is offline at %s, and not among the undelivered", uid, a.SID)
			}
		}
	case history.NotDelivered:
		j.report.NotDelivered++
		if len(calls) > 0 {
			j.fault(Misreported, p.Op, "%s was handed over at %s, and is reported as not delivered: %s", p.Msg, a.SID, a.Text)
		}
	case history.Uncertain:
		j.report.Open++
	default:
		j.fault(Misreported, p.Op, "%s has the outcome %q", a.SID, a.Outcome)
	}
}

func sameElements(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// unwanted looks for people who had not to be reached.
func (j *pushJudge) unwanted(h handing) {
	seen := make(map[string]bool)
	for _, uid := range h.UIDs {
		if seen[uid] {
			j.fault(Twice, h.push.Op, "%s was handed %s for %s twice", h.Via, h.Msg, uid)
		}
		seen[uid] = true
		switch m := j.members.at[place{h.Channel, uid, h.Via}]; {
		case !m.addedBefore(h.At):
			j.fault(Phantom, h.push.Op, "%s was handed %s for %s, whom nobody had added", h.Via, h.Msg, uid)
		case !m.addedAfter(j.members.started[processOf(h.Event)], h.At):
			j.fault(Resurrected, h.push.Op, "%s was handed %s for %s, who was a member of a process that is dead", h.Via, h.Msg, uid)
		case m.leftFor(*h.push, h.At):
			j.fault(Resurrected, h.push.Op, "%s was handed %s for %s, of whose removal the pusher had been told before", h.Via, h.Msg, uid)
		}
	}
	for where, m := range j.members.at {
		if where.channel == h.Channel && where.sid == h.Via && !seen[where.uid] && m.leftFor(*h.push, h.At) {
			j.report.Left++
		}
	}
}
