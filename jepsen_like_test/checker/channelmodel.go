package checker

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/anishathalye/porcupine"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// members numbers every (uid, sid) of a history: the state of a channel is a set
// of bits, so that porcupine compares and keeps states at no cost.
type members struct {
	bit  map[history.Member]uint64
	list []history.Member
}

// maxMembers is how many bits a state has.
const maxMembers = 64

// of is the bit of a member; of nobody, as a Destroy names nobody, none.
func (m *members) of(uid, sid string) (uint64, error) {
	if uid == "" {
		return 0, nil
	}
	key := history.Member{UID: uid, SID: sid}
	if b, ok := m.bit[key]; ok {
		return b, nil
	}
	if len(m.list) == maxMembers {
		return 0, fmt.Errorf("more than %d members: too many to search the orders of", maxMembers)
	}
	b := uint64(1) << len(m.list)
	m.bit[key], m.list = b, append(m.list, key)
	return b, nil
}

// where is everybody that matches.
func (m *members) where(match func(history.Member) bool) (set uint64) {
	for i, member := range m.list {
		if match(member) {
			set |= 1 << i
		}
	}
	return set
}

func (m *members) text(set uint64) string {
	var names []string
	for ; set != 0; set &= set - 1 {
		member := m.list[bits.TrailingZeros64(set)]
		names = append(names, member.UID+" on "+member.SID)
	}
	return "{" + strings.Join(names, ", ") + "}"
}

// call is what one operation asks of one channel: porcupine's input.
type call struct {
	op      history.Operation
	channel string
	asked   uint64   // of a read: the members that it is about
	changes []change // of a write, in their order
}

// change is what one write does to the set.
type change struct{ clear, set uint64 }

// answer is what came back: porcupine's output.
type answer struct {
	shown uint64 // of a read
	told  []told // of a write, as its changes; nil: of unknown outcome
}

// told is what an answer says of one change.
type told uint8

const (
	notTold told = iota
	toldChanged
	toldUnchanged
)

// step is the whole meaning of a channel.
func step(before uint64, c call, a answer) (possible bool, after uint64) {
	if c.op.F == history.Read {
		return a.shown == before&c.asked, before
	}
	after = before
	for i, e := range c.changes {
		next := after&^e.clear | e.set
		if a.told != nil && a.told[i] != notTold && (a.told[i] == toldChanged) != (next != after) {
			return false, before
		}
		after = next
	}
	return true, after
}

// channelModel is porcupine's model of channels, each by itself.
func channelModel(m *members) porcupine.Model {
	return porcupine.Model{
		Partition: byChannel,
		Init:      func() any { return uint64(0) },
		Step: func(state, input, output any) (bool, any) {
			possible, after := step(state.(uint64), input.(call), output.(answer))
			return possible, after
		},
		Hash:              func(state any) uint64 { return state.(uint64) * 0x9e3779b97f4a7c15 },
		DescribeOperation: func(input, output any) string { return describe(m, input.(call), output.(answer)) },
		DescribeState:     func(state any) string { return m.text(state.(uint64)) },
	}
}

// byChannel keeps the order within each.
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

func describe(m *members, c call, a answer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d: %s of %s at %s", c.op.Op, c.op.F, c.channel, c.op.Via)
	if c.op.F == history.Read {
		fmt.Fprintf(&b, " shows %s", m.text(a.shown))
		return b.String()
	}
	for i, e := range c.changes {
		if e.set != 0 {
			fmt.Fprintf(&b, ", puts in %s", m.text(e.set))
		} else {
			fmt.Fprintf(&b, ", takes out %s", m.text(e.clear))
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
