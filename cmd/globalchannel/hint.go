package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// summary is the report of a push in one line:
// "3 members, 1 delivered, 1 offline: connector-2 has no push handler".
func summary(r *pb.PushResponse) string {
	if r.Members == 0 {
		return "nobody to push to: the channel has no members on servers of that type"
	}
	var delivered, offline int64
	var missed []string
	for _, s := range r.Servers {
		offline += int64(len(s.Failed))
		if s.Outcome == pb.Outcome_OUTCOME_DELIVERED {
			delivered += s.Members - int64(len(s.Failed))
			continue
		}
		missed = append(missed, missedAt(s))
	}
	line := fmt.Sprintf("%s, %d delivered", plural(r.Members, "member"), delivered)
	if offline > 0 {
		line += fmt.Sprintf(", %d offline", offline)
	}
	const most = 3
	if len(missed) > most {
		missed = append(missed[:most], fmt.Sprintf("and %d more servers", len(missed)-most))
	}
	if len(missed) > 0 {
		line += ": " + strings.Join(missed, "; ")
	}
	return line
}

func missedAt(s *pb.ServerReport) string {
	switch reason := s.Reason; {
	case reason == "":
		return cell(s.Sid) + " " + outcomeWord(s.Outcome, " ")
	case causeOf(s) == noHandler:
		return cell(s.Sid) + " has no push handler"
	default:
		return cell(s.Sid) + ": " + cell(reason)
	}
}

// cause is why a frontend did not deliver, as far as it decides what to do next.
type cause int

const (
	otherCause cause = iota
	noHandler
	unreachable
	otherLife
	tooSlow
	handlerFailed
)

// causeOf reads the reason, which is text for people: where it is a new one, the
// hint gets more general and nothing else changes.
func causeOf(s *pb.ServerReport) cause {
	words := []struct {
		cause
		parts []string
	}{
		{noHandler, []string{"no push handler"}},
		{unreachable, []string{"unreachable"}},
		{otherLife, []string{"another life", "no such server", "not registered", "stream broke", "frontend closed"}},
		{tooSlow, []string{"in time", "timeout", "deadline", "does not read", "full"}},
		{handlerFailed, []string{"handler"}},
	}
	for _, w := range words {
		for _, part := range w.parts {
			if strings.Contains(s.Reason, part) {
				return w.cause
			}
		}
	}
	if s.Outcome == pb.Outcome_OUTCOME_UNKNOWN {
		return tooSlow
	}
	return otherCause
}

// hint is what to do about a push that nobody got: about the frontend that most
// members missed it at.
func (p *push) hint(reports []*pb.ServerReport, taken []string) string {
	if len(reports) == 0 {
		return "see: " + p.command("servers")
	}
	worst := slices.MaxFunc(reports, func(a, b *pb.ServerReport) int { return int(a.Members - b.Members) })
	sid := cell(worst.Sid)
	switch causeOf(worst) {
	case noHandler:
		free := freeSID(worst.Sid, append(taken, sids(reports)...))
		return "try: " + p.command("listen --id %s --type %s", shellWord(free), shellWord(p.stype))
	case unreachable:
		return fmt.Sprintf("is %s running? see: %s", sid, p.command("servers"))
	case otherLife:
		return fmt.Sprintf("%s was stopped or started again meanwhile: its players have to log in and join anew", sid)
	case tooSlow:
		return fmt.Sprintf("%s may yet deliver it; is it paused or overloaded? or try --timeout %v", sid, 2*p.timeout)
	case handlerFailed:
		return fmt.Sprintf("look into the log of %s", sid)
	}
	return "see: " + p.command("servers")
}

func sids(reports []*pb.ServerReport) []string {
	out := make([]string, 0, len(reports))
	for _, r := range reports {
		out = append(out, r.Sid)
	}
	return out
}

// freeSID is the next number after like that nobody has: connector-1 gives
// connector-2, or connector-4 where 2 and 3 are taken.
func freeSID(like string, taken []string) string {
	base := strings.TrimRight(like, "0123456789")
	n, err := strconv.Atoi(like[len(base):])
	if err != nil { // no number, or too long for one
		base, n = like+"-", 1
	}
	for {
		n++
		if sid := base + strconv.Itoa(n); !slices.Contains(taken, sid) {
			return sid
		}
	}
}
