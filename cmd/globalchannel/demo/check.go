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
	missed := r.deliveriesLine()
	return errors.Join(r.verdict(found, disagreed), missed, a.Close())
}

// settle has every child pause and waits until all outcomes are here.
func (r *run) settle(ctx context.Context) error {
	r.out.event("stopped", "the load; outstanding calls end")
	for _, s := range r.servers {
		s.Gentle = true // who starts from now on plays no match
	}
	err := r.tellAll(ctx, orderPause, func(s *server) string {
		if !s.settled {
			return s.SID + " has calls outstanding"
		}
		return ""
	})
	if err != nil {
		return err
	}
	// No push is under way any more, so what handlers were handed is complete.
	return r.tellAll(ctx, orderCount, func(s *server) string {
		if !s.settled || !s.counted {
			return s.SID + " has not told what its handler was handed"
		}
		return ""
	})
}

// tellAll gives an order to every child and waits until nothing is missing.
func (r *run) tellAll(ctx context.Context, do orderKind, missing func(*server) string) error {
	told := make(map[*process]bool) // one that is killed and started meanwhile is told again
	return r.until(ctx, r.everybodyIn, func() []string {
		var all []string
		for _, s := range r.servers {
			if s.full && !told[s.proc] {
				told[s.proc] = true
				if do == orderCount && !s.settled {
					_ = s.proc.tell(order{orderPause}) // fails as the next one does
				}
				if err := s.proc.tell(order{do}); err != nil {
					all = append(all, err.Error()) // it is ending, which will be told
				}
			}
			if m := missing(s); m != "" {
				all = append(all, m)
			}
		}
		return all
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
	show(r, missing)
	show(r, ghosts)
	return all
}

func show[T fmt.Stringer](r *run, found []T) {
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

// deliveriesLine says what became of the pushes whose every delivery is checked. Its
// error is about those that nobody got and nobody was told of.
func (r *run) deliveriesLine() error {
	sums, misses := r.pushes.check()
	r.out.event("matches", "%s deliveries owed: %s made, %s reported as not made,", count(sums.made+sums.notMade+sums.open+len(misses)), count(sums.made), count(sums.notMade))
	r.out.event("", "%s at servers killed since, %s missed or made twice", count(sums.open), count(len(misses)))
	show(r, misses)
	if len(misses) > 0 {
		return fmt.Errorf("%d deliveries missed or made twice", len(misses))
	}
	return nil
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
