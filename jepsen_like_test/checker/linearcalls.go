package checker

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// calls turns operations into porcupine's.
type calls struct {
	members members
	written map[string]uint64 // by channel: who was ever added there, or may have been
	out     []porcupine.Operation
	end     int64 // after everything that returned
	rows    int   // of the picture: one per worker, one per operation that stays open
	doubles []Violation
}

func newCalls(ops []history.Operation) (*calls, error) {
	cs := &calls{members: members{bit: make(map[history.Member]uint64)}, written: make(map[string]uint64)}
	for _, op := range ops { // all names first: what a read is about depends on everybody there is
		if err := cs.learn(op); err != nil {
			return nil, err
		}
	}
	for _, op := range ops {
		cs.add(op)
	}
	return cs, nil
}

// learn takes names and times.
func (cs *calls) learn(op history.Operation) error {
	cs.rows, cs.end = max(cs.rows, op.Worker+1), max(cs.end, int64(op.Invoked)+1)
	if op.Returned != history.Forever {
		cs.end = max(cs.end, int64(op.Returned)+1)
	}
	for _, w := range writes(op) {
		bit, err := cs.members.of(w.UID, w.SID)
		if err != nil {
			return err
		}
		if w.F != history.Add {
			bit = 0
		}
		if w.Channel != "" {
			cs.written[w.Channel] |= bit
		}
	}
	for _, m := range op.Members {
		if _, err := cs.members.of(m.UID, m.SID); err != nil {
			return err
		}
	}
	return nil
}

// writes are the single operations of a write, in their order.
func writes(op history.Operation) []history.Write {
	switch op.F {
	case history.Add, history.Leave, history.LeaveAll, history.Destroy:
		return []history.Write{{F: op.F, Channel: op.Channel, UID: op.UID, SID: op.SID}}
	case history.Apply:
		return op.Group
	}
	return nil
}

func (cs *calls) add(op history.Operation) {
	switch {
	case op.Type == history.Fail:
		// No effect, now or later, and nothing was shown.
	case op.F == history.Read && op.Linearizable && op.Type == history.OK:
		cs.addRead(op)
	case op.F != history.Read:
		cs.addWrite(op)
	}
}

func (cs *calls) addRead(op history.Operation) {
	all := func(m history.Member) bool { return op.SID == "" || op.SID == m.SID }
	c, a := call{op: op, channel: op.Channel, asked: cs.members.where(all)}, answer{}
	for _, m := range op.Members {
		b := cs.members.bit[m]
		if a.shown&b != 0 {
			cs.doubles = append(cs.doubles, Violation{Duplicate, op.Op, fmt.Sprintf("%s on %s is listed twice in %s", m.UID, m.SID, op.Channel)})
		}
		a.shown |= b
	}
	cs.append(c, a)
}

// addWrite adds one operation for each channel that the write is about, with the
// interval of the whole: that all of them take effect at one moment is not
// checked.
func (cs *calls) addWrite(op history.Operation) {
	list := writes(op)
	touched := make(map[string]bool)
	for _, w := range list {
		for channel := range cs.written {
			touched[channel] = touched[channel] || cs.touches(w, channel)
		}
	}
	for channel, is := range touched {
		if !is {
			continue
		}
		c, a := call{op: op, channel: channel}, answer{}
		for i, w := range list {
			if !cs.touches(w, channel) {
				continue
			}
			c.changes = append(c.changes, cs.change(w))
			if op.Type == history.OK {
				a.told = append(a.told, toldOf(op, i))
			}
		}
		cs.append(c, a)
	}
}

// touches says whether a write is about that channel. A LeaveAll is about every
// one that its member was ever added to.
func (cs *calls) touches(w history.Write, channel string) bool {
	if w.F != history.LeaveAll {
		return w.Channel == channel
	}
	return cs.written[channel]&cs.members.bit[history.Member{UID: w.UID, SID: w.SID}] != 0
}

func (cs *calls) change(w history.Write) change {
	bit := cs.members.bit[history.Member{UID: w.UID, SID: w.SID}]
	switch w.F {
	case history.Add:
		return change{set: bit}
	case history.Destroy:
		return change{clear: ^uint64(0) >> (maxMembers - len(cs.members.list))}
	default:
		return change{clear: bit}
	}
}

func toldOf(op history.Operation, i int) told {
	switch {
	case i >= len(op.Changed):
		return notTold
	case !op.Changed[i]:
		return toldUnchanged
	case writes(op)[i].F == history.LeaveAll:
		return notTold // in one of the channels
	}
	return toldChanged
}

func (cs *calls) append(c call, a answer) {
	p := porcupine.Operation{ClientId: c.op.Worker, Input: c, Output: a, Call: int64(c.op.Invoked), Return: int64(c.op.Returned)}
	if c.op.Type == history.Unknown {
		// Open to the end. That it never took effect is the same as that it does so
		// after everything that anybody saw.
		p.ClientId, p.Return = cs.rows, cs.end
		cs.rows++
	}
	cs.out = append(cs.out, p)
}

// until is the history as it stood when the operations that return up to t had
// returned.
func until(ops []porcupine.Operation, t int64) (prefix []porcupine.Operation) {
	for _, p := range ops {
		c := p.Input.(call)
		switch {
		case p.Call > t:
			continue
		case p.Return <= t:
		case c.op.F == history.Read:
			continue
		default:
			p.Output, p.Return = answer{}, t+1
		}
		prefix = append(prefix, p)
	}
	return prefix
}

// returned are those that told something, in that order.
func returned(ops []porcupine.Operation) []porcupine.Operation {
	known := slices.DeleteFunc(slices.Clone(ops), func(p porcupine.Operation) bool {
		return p.Input.(call).op.Type == history.Unknown
	})
	slices.SortFunc(known, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	return known
}
