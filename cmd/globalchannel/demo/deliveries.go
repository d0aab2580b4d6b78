package demo

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// deliveries holds what matches were told of their pushes against what the servers'
// handlers were handed.
type deliveries struct {
	claims []claim
	handed map[handed]int             // how often
	kills  map[string][]time.Duration // by sid
}

// handed is one message to one player at one server.
type handed struct {
	msg string
	delivery
}

// deliverySums add up all that was owed.
type deliverySums struct{ made, notMade, open int }

// miss is a delivery that was owed, and neither made nor reported as not made; or one
// that was made twice.
type miss struct {
	handed
	at    time.Duration
	times int    // it was handed over
	told  string // what the pusher was told
}

func (m miss) String() string {
	if m.times > 1 {
		return fmt.Sprintf("twice on %s: %s to %s (%d times)", m.SID, m.msg, m.UID, m.times)
	}
	return fmt.Sprintf("missed on %s: %s to %s at %s s (%s)", m.SID, m.msg, m.UID, clock(m.at), m.told)
}

func newDeliveries() *deliveries {
	return &deliveries{handed: make(map[handed]int), kills: make(map[string][]time.Duration)}
}

// claim takes in what one push reported.
func (d *deliveries) claim(c claim) { d.claims = append(d.claims, c) }

// receive takes in what a handler at sid was handed.
func (d *deliveries) receive(sid string, list []receipt) {
	for _, r := range list {
		for _, uid := range r.UIDs {
			d.handed[handed{r.Msg, delivery{UID: uid, SID: sid}}]++
		}
	}
}

// killed is told the end of a server's life, after all that it said. What its handler
// was handed at the very end nobody knows.
func (d *deliveries) killed(sid string, at time.Duration) { d.kills[sid] = append(d.kills[sid], at) }

// check compares. The misses are sorted.
func (d *deliveries) check() (sums deliverySums, misses []miss) {
	for _, c := range d.claims {
		sums.notMade += c.NotMade
		for _, who := range c.Missed {
			misses = append(misses, miss{handed: handed{c.Msg, who}, at: c.At, told: "nothing of him"})
		}
		for _, who := range c.Made {
			killedSince := slices.ContainsFunc(d.kills[who.SID], func(at time.Duration) bool { return at >= c.At })
			switch h := (handed{c.Msg, who}); {
			case d.handed[h] > 0:
				sums.made++
			case killedSince:
				sums.open++
			default:
				misses = append(misses, miss{handed: h, at: c.At, told: "delivered"})
			}
		}
	}
	for h, times := range d.handed {
		if times > 1 {
			misses = append(misses, miss{handed: h, times: times})
		}
	}
	slices.SortFunc(misses, func(a, b miss) int {
		return cmp.Or(cmp.Compare(a.SID, b.SID), cmp.Compare(a.msg, b.msg), cmp.Compare(a.UID, b.UID), a.times-b.times)
	})
	return sums, misses
}
