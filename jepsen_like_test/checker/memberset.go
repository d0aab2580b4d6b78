package checker

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// members numbers every (uid, sid) of a history.
type members struct {
	bit  map[history.Member]uint64
	list []history.Member
	on   [maxTurning]uint64 // those of each sid that has a slot
}

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
