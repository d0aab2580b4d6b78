package node

import "slices"

// queue is calls in their order. Withdrawn ones are skipped, not searched for:
// thousands of callers may lose patience at the same moment.
type queue struct {
	calls []*call
	head  int // of the first in calls
	ops   int // of those that are not withdrawn
	bytes int
	live  int // calls that are not withdrawn

	goodbyes map[string][]*call // those that pushGoodbye put here, by player: the sessions fall from front to back
}

func (q *queue) len() int { return q.live }

func (q *queue) push(c *call) {
	q.calls = append(q.calls, c)
	q.count(c, 1)
}

// pushGoodbye appends the goodbye of a player's connection, in the place of those
// that still wait and that it covers: those of the same and of older sessions, since
// nothing between depends on them. One of a newer session keeps its place: what an
// older one that is still open joins after it must not be taken along. So those who
// come and go while there is no leader take one place for each connection that they
// had at a time, however often they do.
func (q *queue) pushGoodbye(c *call) {
	if q.goodbyes == nil {
		q.goodbyes = make(map[string][]*call)
	}
	waiting := q.goodbyes[c.player]
	for n := len(waiting); n > 0 && waiting[n-1].session <= c.session; n-- {
		covered := waiting[n-1]
		waiting = waiting[:n-1]
		covered.gone = true
		q.withdrew(covered)
	}
	q.goodbyes[c.player] = append(waiting, c)
	q.push(c)
}

// tookGoodbye forgets a goodbye whose bytes do not change any more.
func (q *queue) tookGoodbye(c *call) {
	waiting := q.goodbyes[c.player]
	if len(waiting) == 0 || waiting[0] != c {
		return // it was taken before, and put back
	}
	if q.goodbyes[c.player] = waiting[1:]; len(waiting) == 1 {
		delete(q.goodbyes, c.player)
	}
}

// pushFront puts calls back that had been taken.
func (q *queue) pushFront(calls []*call) {
	rest := q.calls[q.head:]
	q.calls, q.head = slices.Concat(calls, rest), 0
	for _, c := range calls {
		if !c.gone {
			q.count(c, 1)
		}
	}
}

// withdrew tells that c, which waits here, has been marked as gone.
func (q *queue) withdrew(c *call) {
	q.count(c, -1)
	// Without a leader nobody takes anything for hours, while calls come and go.
	if waiting := len(q.calls) - q.head; waiting > 64 && waiting > 2*q.live {
		q.calls = slices.DeleteFunc(q.calls[q.head:], func(c *call) bool { return c.gone })
		q.head = 0
	}
}

// take removes as many calls from the front as fit, but at least one.
func (q *queue) take(maxOps, maxBytes int) []*call {
	var taken []*call
	ops, bytes := 0, 0
	for q.head < len(q.calls) {
		c := q.calls[q.head]
		if !c.gone {
			if len(taken) > 0 && (ops+c.ops > maxOps || bytes+len(c.group) > maxBytes) {
				break
			}
			ops, bytes = ops+c.ops, bytes+len(c.group)
			taken = append(taken, c)
			if c.player != "" {
				q.tookGoodbye(c)
			}
			q.count(c, -1)
		}
		q.calls[q.head] = nil
		q.head++
	}
	if q.head == len(q.calls) {
		q.calls, q.head = q.calls[:0], 0
	} else if q.head > len(q.calls)/2 {
		// Under load it never runs empty, and must not grow for ever.
		n := copy(q.calls, q.calls[q.head:])
		clear(q.calls[n:])
		q.calls, q.head = q.calls[:n], 0
	}
	return taken
}

func (q *queue) takeAll() []*call {
	all := slices.DeleteFunc(q.calls[q.head:], func(c *call) bool { return c.gone })
	*q = queue{}
	return all
}

// count adds c's size, or takes it off.
func (q *queue) count(c *call, sign int) {
	q.live += sign
	if c.player != "" {
		return // no part of what is bounded: it must not shut others out
	}
	q.ops += sign * c.ops
	q.bytes += sign * len(c.group)
}
