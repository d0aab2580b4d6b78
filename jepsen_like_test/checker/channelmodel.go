package checker

import (
	"fmt"
	"strings"

	"github.com/anishathalye/porcupine"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// state is what a channel is, to itself. It has no pointers, so that porcupine
// compares and keeps states at no cost.
type state struct {
	set  uint64 // of members, one bit each, with those whose server's life is over
	last uint64 // no write takes effect below this index any more

	phases [maxTurning]uint8    // of each sid whose life ends or begins in the history
	issued [maxEmbedding]uint32 // of each server that was called inside its process: the newest call of which something is known, by invocation
}

// Bounds of a state.
const (
	maxMembers   = 64
	maxTurning   = 16
	maxEmbedding = 16
	maxLives     = 120 // of one sid: a phase is a byte
)

// A phase is where a sid is among its lives: the life of a number goes on, or it is
// over and the next one has not begun.
func goesOn(number int) uint8 { return uint8(2*number + 1) }
func isOver(number int) uint8 { return uint8(2*number + 2) }

// phase of a sid whose one life never ends is the same all the while.
func (s *state) phase(slot int) uint8 {
	if slot == constant {
		return goesOn(0)
	}
	return s.phases[slot]
}

// constant is the slot of sids that need none.
const constant = -1

// row is a range of lives of the sid in a slot, by number, both included.
type row struct{ slot, from, to int }

// in says whether the sid's life, or its last one, is in the range, and goes on.
func (s *state) in(r row) (is, up bool) {
	phase := s.phase(r.slot)
	number := int(phase-1) / 2
	return r.from <= number && number <= r.to, phase%2 == 1
}

// call is what one operation asks of one channel: porcupine's input.
type call struct {
	op      history.Operation
	channel string
	asked   uint64   // of a read: the members that it is about
	changes []change // of a write, in their order
	turn    *turn    // a life ends or begins: nothing else is filled in

	joins   []row  // of a group: the lives that its Adds in other channels mean
	writer  row    // of a write: which lives of the asked server it can be a write of
	issuer  int    // slot in issued; constant: it was called from outside
	invoked uint32 // how many calls there had been when this one began
	through uint32 // how many there had been when its caller knew what became of it, or gave up
}

// change is what one write does to the set.
type change struct {
	clear, set uint64
	life       row // that is meant
}

// answer is what came back: porcupine's output.
type answer struct {
	shown uint64 // of a read
	told  []told // of a write, as its changes; nil: of unknown outcome
	index uint64 // 0: not told
}

// told is what an answer says of one change.
type told uint8

const (
	notTold told = iota
	toldChanged
	toldUnchanged
)

// step is the whole meaning of a channel.
func (m *channels) step(before state, c call, a answer) (possible bool, after state) {
	switch {
	case c.turn != nil:
		return c.turn.step(before, a)
	case c.op.F == history.Read:
		return a.shown == before.set&c.asked&^m.hidden(before) && (a.index == 0 || before.last <= a.index), before
	case a.told == nil:
		return true, mayHave(before, c)
	}
	return has(before, c, a)
}

// hidden are the members of lives that are over.
func (m *channels) hidden(s state) (set uint64) {
	for slot, of := range m.members.on {
		if s.phases[slot]%2 == 0 {
			set |= of
		}
	}
	return set
}

// has is a write that took effect, for sure.
func has(before state, c call, a answer) (possible bool, after state) {
	if a.index != 0 && a.index < before.last || !c.writes(&before) {
		return false, before
	}
	after = c.note(before)
	after.last = max(after.last, a.index)
	for i, e := range c.changes {
		done, next := e.do(&after)
		if !done || a.told[i] != notTold && (a.told[i] == toldChanged) != (next != after.set) {
			return false, before
		}
		after.set = next
	}
	return true, after
}

// mayHave is a write of unknown outcome. Where it can't have an effect it is the one
// that had none.
func mayHave(before state, c call) (after state) {
	after = c.note(before)
	if !c.writes(&before) {
		return after
	}
	set := after.set
	for _, e := range c.changes {
		done, next := e.do(&after)
		if !done {
			after.set = set
			return after
		}
		after.set = next
	}
	return after
}

// writes says whether the write can take effect now: a life that is over writes
// nothing more, nobody joins one, which fails the whole group, and what a process was
// called for later does not come first.
func (c *call) writes(s *state) bool {
	for _, life := range c.joins {
		if is, up := s.in(life); !is || !up {
			return false
		}
	}
	is, up := s.in(c.writer)
	return is && up && (c.issuer == constant || s.issued[c.issuer] <= c.through)
}

func (c *call) note(s state) state {
	if c.issuer != constant {
		s.issued[c.issuer] = max(s.issued[c.issuer], c.invoked)
	}
	return s
}

// do is one write on the set. What means another life than the sid's last one is
// refused, but for the removal of somebody who is not there. Nobody joins a life
// that is over.
func (e *change) do(s *state) (done bool, set uint64) {
	is, up := s.in(e.life)
	switch {
	case is && (up || e.set == 0):
		return true, s.set&^e.clear | e.set
	case e.set == 0 && s.set&e.clear == 0:
		return true, s.set
	}
	return false, s.set
}

// channels is porcupine's model of them, each by itself.
type channels struct{ members *members }

func (m *channels) model(first state) porcupine.Model {
	return porcupine.Model{
		Partition: byChannel,
		Init:      func() any { return first },
		Step: func(before, input, output any) (bool, any) {
			possible, after := m.step(before.(state), input.(call), output.(answer))
			if !possible {
				return false, before
			}
			return true, after
		},
		Hash:              func(s any) uint64 { return s.(state).hash() },
		DescribeOperation: func(input, output any) string { return m.describe(input.(call), output.(answer)) },
		DescribeState: func(s any) string {
			now := s.(state)
			text, hidden := m.members.text(now.set&^m.hidden(now)), now.set&m.hidden(now)
			if hidden != 0 {
				text += ", parked " + m.members.text(hidden)
			}
			return text
		},
	}
}

// hash leaves out what follows from which operations were done.
func (s state) hash() uint64 {
	h := s.set * 0x9e3779b97f4a7c15
	for _, p := range s.phases {
		h = (h ^ uint64(p)) * 0x100000001b3
	}
	return h
}

// byChannel keeps the order within each. A life that ends or begins is in all.
func byChannel(ops []porcupine.Operation) (parts [][]porcupine.Operation) {
	number := make(map[string]int)
	for _, op := range ops {
		channel := op.Input.(call).channel
		i, ok := number[channel]
		if !ok {
			i = len(parts)
			number[channel] = i
			parts = append(parts, nil)
		}
		parts[i] = append(parts[i], op)
	}
	return parts
}

func (m *channels) describe(c call, a answer) string {
	if c.turn != nil {
		return c.turn.String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d: %s of %s at %s", c.op.Op, c.op.F, c.channel, c.op.Via)
	if a.index != 0 {
		fmt.Fprintf(&b, " (index %d)", a.index)
	}
	if c.op.F == history.Read {
		fmt.Fprintf(&b, " shows %s", m.members.text(a.shown))
		return b.String()
	}
	for i, e := range c.changes {
		if e.set != 0 {
			fmt.Fprintf(&b, ", puts in %s", m.members.text(e.set))
		} else {
			fmt.Fprintf(&b, ", takes out %s", m.members.text(e.clear))
		}
		if a.told != nil {
			b.WriteString([]string{notTold: "", toldChanged: " (changed)", toldUnchanged: " (unchanged)"}[a.told[i]])
		}
	}
	if a.told == nil {
		b.WriteString("; outcome unknown")
	}
	return b.String()
}
