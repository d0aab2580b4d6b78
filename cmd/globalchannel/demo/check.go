package demo

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	agreeWithin = 30 * time.Second // for the slowest replica to catch up
	showAtMost  = 6                // of each kind of finding, in full
)

// check stops the load and compares what every server has with what the players
// were told. Its error is the verdict.
func (r *run) check(ctx context.Context) error {
	if err := r.settle(ctx); err != nil {
		return err
	}
	a, err := newAuditor(ctx, r.servers, r.stage.secret)
	if err != nil {
		return err
	}
	disagreed := a.agree(ctx, agreeWithin)
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), a.Close())
	}
	// Servers that differ are looked at all the same: what differs is the clue.
	if err := a.collect(ctx, r.truth.channels()); err != nil {
		return errors.Join(disagreed, err, a.Close())
	}
	found := r.compare(a)
	r.chatLine()
	return errors.Join(r.verdict(found, disagreed), a.Close())
}

// settle has every child pause and waits until all outcomes are here.
func (r *run) settle(ctx context.Context) error {
	r.out.event("stopped", "the load; outstanding calls end")
	told := make(map[*process]bool) // one that is killed and started meanwhile is told again
	return r.until(ctx, r.everybodyIn, func() []string {
		var missing []string
		for _, s := range r.servers {
			if s.full && !told[s.proc] {
				told[s.proc] = true
				if err := s.proc.tell(order{orderPause}); err != nil {
					missing = append(missing, err.Error()) // it is ending, which will be told
				}
			}
			if !s.settled {
				missing = append(missing, s.SID+" has calls outstanding")
			}
		}
		return missing
	})
}

// compare prints a line per server and returns all differences.
func (r *run) compare(a *auditor) []finding {
	var all []finding
	r.out.event("check", "%-14s %9s  %-12s %11s %8s %7s", "server", "applied", "state", "memberships", "missing", "ghosts")
	for _, w := range a.witnesses {
		found := r.truth.check(w.sid, w.members)
		missing, ghosts := split(found)
		r.out.event("", "%-14s %9s  %-12s %11s %8d %7d", w.sid, count(w.applied), w.hash[:min(12, len(w.hash))], count(len(w.members)), len(missing), len(ghosts))
		all = append(all, found...)
	}
	all = merged(all)
	missing, ghosts := split(all)
	r.show(missing)
	r.show(ghosts)
	return all
}

func (r *run) show(found []finding) {
	for i, f := range found {
		if i == showAtMost {
			r.out.event("", "... and %s like it", count(len(found)-i))
			return
		}
		r.out.event("", "%s", f)
	}
}

func (r *run) chatLine() {
	var s pushSums
	for _, server := range r.servers {
		s.add(server.earlier)
		s.add(server.pushes)
	}
	r.out.event("chat", "%s pushes to %s members: %s delivered, %s not delivered,", count(s.Pushes), count(s.Members), count(s.Delivered), count(s.NotDelivered))
	r.out.event("", "%s unknown, %s offline; %s returned an error", count(s.Unknown), count(s.Offline), count(s.Errors))
}

// verdict prints the last line. A run in which nothing was done proves nothing.
func (r *run) verdict(found []finding, disagreed error) error {
	missing, additional := split(found)
	lost, ghosts := len(missing), len(additional)
	here, gone, open := r.truth.decided()
	t := r.truth.tally
	if t.unknown+t.notSent+t.rejected > 0 {
		r.out.event("others", "%s of unknown outcome (%s memberships left open), %s not sent, %s rejected",
			count(t.unknown), count(open), count(t.notSent), count(t.rejected))
	}
	differ := ""
	if disagreed != nil {
		differ = "; THE SERVERS' STATES DIFFER"
	}
	r.out.title("%s lost, %s: %s acknowledged, %s checked on %s, %s%s", count(lost), plural(ghosts, "ghost"),
		plural(t.acknowledged, "write"), plural(here+gone, "membership"), plural(len(r.servers), "server"), plural(max(0, r.leaders-1), "leader change"), differ)
	switch {
	case lost+ghosts > 0:
		return errors.Join(fmt.Errorf("%d lost, %s", lost, plural(ghosts, "ghost")), disagreed)
	case disagreed != nil:
		return disagreed
	case here == 0:
		return errors.New("no join was acknowledged: nothing was shown")
	}
	return nil
}
