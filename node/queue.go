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

	goodbyes map[string]*call // those that keep put here, by player
}

func (q *queue) len() int { return q.live }

func (q *queue) push(c *call) {
	q.calls = append(q.calls, c)
	q.count(c, 1)
}

// dropGoodbye takes a player's goodbye out that still waits, for a later one that
// covers it: nothing between them depends on it. So those who come and go while there
// is no leader take one place each, however often they do. It returns the session
// that it was of; 0 if there was none.
func (q *queue) dropGoodbye(player string) (session uint64) {
	old := q.goodbyes[player]
	if old == nil {
		return 0
	}
	delete(q.goodbyes, player)
	old.gone = true
	q.withdrew(old)
	return old.session
}

func (q *queue) pushGoodbye(c *call) {
	if q.goodbyes == nil {
		q.goodbyes = make(map[string]*call)
	}
	q.goodbyes[c.player] = c
	q.push(c)
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
				delete(q.goodbyes, c.player) // its bytes do not change any more
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
