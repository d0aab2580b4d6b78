package checker

import (
	"fmt"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// calls turns operations into porcupine's.
type calls struct {
	members members
	turns   *turns
	written map[string]uint64 // by channel: who was ever added there, or may have been
	out     []porcupine.Operation
	end     int64 // after everything that returned
	rows    int   // of the picture: one per worker, one per operation that stays open
	doubles []Violation

	issuers map[string]int  // slots of servers that were called inside their processes
	invoked []time.Duration // of all operations, in that order
}

func newCalls(ops []history.Operation, ls *lives) (_ *calls, err error) {
	cs := &calls{members: members{bit: make(map[history.Member]uint64)}, written: make(map[string]uint64), issuers: make(map[string]int)}
	for _, op := range ops { // all names first: what a read is about depends on everybody there is
		if err := cs.learn(op); err != nil {
			return nil, err
		}
	}
	if cs.turns, err = newTurns(ls, ops, cs.end); err != nil {
		return nil, err
	}
	for _, op := range ops {
		if err := cs.add(op); err != nil {
			return nil, fmt.Errorf("operation %d: %w", op.Op, err)
		}
	}
	cs.addTurns()
	cs.overtake()
	return cs, nil
}

// addTurns adds all ends and beginnings of lives, to every channel.
func (cs *calls) addTurns() {
	for sid, slot := range cs.turns.slots {
		on := cs.members.where(func(m history.Member) bool { return m.SID == sid })
		cs.members.on[slot] = on
		for channel := range cs.written {
			for _, t := range cs.turns.of(sid, slot, on) {
				cs.out = append(cs.out, cs.turns.operation(t, channel, cs.rows+slot))
			}
		}
	}
	cs.rows += len(cs.turns.slots)
}

// overtake shortens what stays open, where that is known: when a process has done what
// it was called for later, a call before that has had its effect, or never will.
func (cs *calls) overtake() {
	for i := range cs.out {
		c := cs.out[i].Input.(call)
		if c.turn != nil || c.issuer == constant || c.op.Type != history.Unknown {
			continue
		}
		for _, p := range cs.out {
			later := p.Input.(call)
			if later.turn == nil && later.issuer == c.issuer && later.op.Type == history.OK && later.channel == c.channel && later.invoked > c.through {
				cs.out[i].Return = min(cs.out[i].Return, p.Return)
			}
		}
	}
}

// learn takes names and times.
func (cs *calls) learn(op history.Operation) error {
	cs.rows, cs.end = max(cs.rows, op.Worker+1), max(cs.end, int64(op.Invoked)+1)
	cs.invoked = append(cs.invoked, op.Invoked)
	if _, known := cs.issuers[op.Via]; op.Embedded && !known {
		if len(cs.issuers) == maxEmbedding {
			return fmt.Errorf("more than %d servers called inside their processes: too many to search the orders of", maxEmbedding)
		}
		cs.issuers[op.Via] = len(cs.issuers)
	}
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
		return []history.Write{{F: op.F, Channel: op.Channel, UID: op.UID, SID: op.SID, Epoch: op.Epoch}}
	case history.Apply:
		return op.Group
	}
	return nil
}

func (cs *calls) add(op history.Operation) error {
	switch {
	case op.Type == history.Fail:
		// No effect, now or later, and nothing was shown.
	case op.F == history.Read && op.Linearizable && op.Type == history.OK:
		cs.addRead(op)
	case op.F != history.Read:
		return cs.addWrite(op)
	}
	return nil
}

func (cs *calls) addRead(op history.Operation) {
	all := func(m history.Member) bool { return op.SID == "" || op.SID == m.SID }
	c, a := call{op: op, channel: op.Channel, asked: cs.members.where(all), issuer: constant}, answer{index: op.Index}
	for _, m := range op.Members {
		b := cs.members.bit[m]
		if a.shown&b != 0 {
			cs.doubles = append(cs.doubles, Violation{Duplicate, op.Op, fmt.Sprintf("%s on %s is listed twice in %s", m.UID, m.SID, op.Channel)})
		}
		a.shown |= b
	}
	cs.append(c, a, 0)
}

// addWrite adds one operation for each channel that the write is about, with the
// interval of the whole: that all of them take effect at one moment is not
// checked.
func (cs *calls) addWrite(op history.Operation) error {
	list := writes(op)
	until := time.Duration(cs.end) // it has no effect any more, if it is of unknown outcome
	meant := make([]row, len(list))
	for i, w := range list {
		var err error
		if meant[i], err = cs.turns.meant(w); err != nil {
			return err
		}
		// A removal of another life is refused, or unneeded, but does not fail its group.
		if w.F == history.Add || len(list) == 1 {
			until = min(until, cs.turns.after(w.SID, meant[i]))
		}
	}
	writer := cs.turns.writer(op)
	until = min(until, cs.turns.after(op.Via, writer))
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
		c, a := call{op: op, channel: channel, writer: writer, issuer: constant}, answer{}
		if op.Embedded {
			c.issuer = cs.issuers[op.Via]
			c.invoked, c.through = cs.before(op.Invoked), cs.before(op.GaveUp)
		}
		for i, w := range list {
			if !cs.touches(w, channel) {
				if w.F == history.Add {
					c.joins = append(c.joins, meant[i])
				}
				continue
			}
			c.changes = append(c.changes, cs.change(w, meant[i]))
			if op.Type == history.OK {
				a.told, a.index = append(a.told, toldOf(op, i)), op.Index
			}
		}
		cs.append(c, a, until)
	}
	return nil
}

// before is how many operations had been invoked by then.
func (cs *calls) before(t time.Duration) uint32 {
	return uint32(sort.Search(len(cs.invoked), func(i int) bool { return cs.invoked[i] > t }))
}

// touches says whether a write is about that channel. A LeaveAll is about every
// one that its member was ever added to.
func (cs *calls) touches(w history.Write, channel string) bool {
	if w.F != history.LeaveAll {
		return w.Channel == channel
	}
	return cs.written[channel]&cs.members.bit[history.Member{UID: w.UID, SID: w.SID}] != 0
}

func (cs *calls) change(w history.Write, meant row) change {
	bit := cs.members.bit[history.Member{UID: w.UID, SID: w.SID}]
	switch w.F {
	case history.Add:
		return change{set: bit, life: meant}
	case history.Destroy:
		return change{clear: ^uint64(0) >> (maxMembers - len(cs.members.list)), life: meant}
	default:
		return change{clear: bit, life: meant}
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

func (cs *calls) append(c call, a answer, until time.Duration) {
	p := porcupine.Operation{ClientId: c.op.Worker, Input: c, Output: a, Call: int64(c.op.Invoked), Return: int64(c.op.Returned)}
	if c.op.Type == history.Unknown {
		// Open to the end, or until it can have no effect any more. That it never took
		// effect is the same as that it does so when nobody can see it.
		p.ClientId, p.Return = cs.rows, max(int64(until), p.Call)
		cs.rows++
	}
	cs.out = append(cs.out, p)
}
