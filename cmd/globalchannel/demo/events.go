package demo

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// handle takes in one thing that a process said, or its end.
func (r *run) handle(e event) {
	i := slices.IndexFunc(r.servers, func(s *server) bool { return s.proc == e.proc })
	if i < 0 {
		return // an earlier process of a server: its end was seen before the next began
	}
	s := r.servers[i]
	if e.end != nil {
		r.ended(s, e.end)
		return
	}
	switch rep := e.report; {
	case rep.Up != nil:
		s.nodeID = rep.Up.NodeID
	case rep.Ready:
		r.registered(s)
	case rep.Leader != nil:
		r.leads(*rep.Leader)
	case rep.Players > 0:
		r.back(s)
	case rep.Ops != nil:
		r.recordAll(s, rep.Ops)
	case rep.Owed != nil:
		r.pushes.claim(*rep.Owed)
	case rep.Handed != nil:
		r.pushes.receive(s.SID, rep.Handed)
	case rep.Counted:
		s.counted = true
	case rep.Pushes != nil:
		s.pushes = *rep.Pushes
	case rep.Shows != nil:
		s.shows = *rep.Shows
		r.noticeGone()
	case rep.Settled != nil:
		s.settled = true
		if err := r.truth.complete(s.SID, rep.Settled.Ops); err != nil {
			r.failure = err
		}
	case rep.Problem != nil:
		s.problem = *rep.Problem
	case rep.Failed != "":
		r.failure = fmt.Errorf("%s gave up: %s", s.SID, rep.Failed)
	}
}

func (r *run) registered(s *server) {
	s.ready = true
	r.truth.begin(s.SID, r.lifeEnd(s))
	r.out.event("ready", "%s", s.SID)
}

// lifeEnd is when the life before this one ended.
func (r *run) lifeEnd(s *server) (at time.Duration) {
	if s.kill != nil {
		at = s.kill.at
	}
	return at
}

// leads notes a leader of a newer term. Everybody reports it; the first one counts.
func (r *run) leads(l leaderReport) {
	if l.Term <= r.leader.Term {
		return
	}
	r.leader = l
	s := r.leading()
	name := l.SID
	if s != nil {
		name = s.SID
	} else if name == "" {
		name = "node " + l.NodeID
	}
	r.leaders++
	r.out.event("leads", "%s  term %d", name, l.Term)
}

func (r *run) recordAll(s *server, ops []operation) {
	for _, op := range ops {
		if err := r.truth.record(s.SID, op); err != nil {
			r.failure = err
			return
		}
		if op.Outcome != acknowledged {
			s.refusal = fmt.Sprintf("%s %s %s at %s s: %s", op.Kind, op.Channel, op.UID, clock(op.At), op.Err)
			continue
		}
		r.lastAck = max(r.lastAck, op.At)
		for _, other := range r.servers {
			if other.kill != nil {
				other.kill.still.add(op.At)
			}
		}
	}
}

// back closes a kill: what it cost is known now.
func (r *run) back(s *server) {
	s.full = true
	if s.kill == nil {
		return
	}
	now := r.now()
	gap, began := s.kill.still.longest(now)
	r.out.event("back", "%s  its %s, %.1f s after the kill", s.SID, plural(s.Crowd.Count, "player"), (now - s.kill.at).Seconds())
	r.out.event("writes", "stood still for %.2f s at most, over the whole cluster (from %.2f s on)", gap.Seconds(), began.Seconds())
	s.kill = nil
}

// noticeGone ends the wait for the last server to show no players of one that was
// killed: nobody will push to them, nobody counts them.
func (r *run) noticeGone() {
	for _, dead := range r.servers {
		if dead.kill == nil || !dead.kill.dead || !dead.kill.stay || r.shown(dead) {
			continue
		}
		dead.kill.stay = false
		r.out.event("gone", "%s  its %s, everywhere, %.1f s after the kill (ReapAfter %v)",
			dead.SID, plural(dead.Crowd.Count, "player"), (r.now() - dead.kill.at).Seconds(), reapAfter)
	}
}

// shown says whether any server that is up shows players of s.
func (r *run) shown(s *server) bool {
	return slices.ContainsFunc(r.servers, func(o *server) bool { return o.up && o != s && slices.Contains(o.shows, s.SID) })
}

// ended notes the end of a process. A kill is part of the demo, whoever did it;
// anything else is a failure, and its log says why.
func (r *run) ended(s *server, e *end) {
	led := r.leading() == s
	s.up, s.ready, s.full, s.settled, s.counted, s.shows = false, false, false, false, false, nil
	r.pushes.killed(s.SID, r.now())
	if led { // restarted, it is not the leader before somebody says so
		r.leader.SID, r.leader.NodeID = "", ""
	}
	s.earlier.add(s.pushes)
	s.pushes = pushSums{}
	if !e.killed {
		if r.failure == nil {
			r.failure = fmt.Errorf("%s ended by itself: %w%s", s.SID, orCleanly(e.err), lastLines(r.stage.logFile(s.SID), 5))
		}
		return
	}
	if s.kill == nil || s.kill.dead {
		r.beginKill(s)
		what := "not by the demo"
		if led {
			what += "; the leader"
		}
		r.out.event("killed", "%s  pid %d  (SIGKILL; %s)", s.SID, s.proc.pid(), what)
	}
	s.kill.dead = true
}

func orCleanly(err error) error {
	if err == nil {
		return errors.New("without an error")
	}
	return err
}

// lastLines is the end of a log, for an error that explains itself.
func lastLines(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Sprintf(" (no log: %v)", err)
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	lines = lines[max(0, len(lines)-n):]
	for i := range lines {
		lines[i] = "\n    " + clip(lines[i], 400)
	}
	return "; the end of its log:" + strings.Join(lines, "")
}
