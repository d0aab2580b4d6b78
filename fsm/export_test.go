package fsm

import (
	"fmt"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/fsm/internal/compact"
)

// CheckIndexes compares what the state derives with what it derives it from.
func CheckIndexes(s *State) error {
	forward := make(map[[3]uint32]bool) // channel, sid, player
	visible, parked := 0, 0
	counts := make(map[uint32]int)
	for i, cs := range s.channels {
		for id, c := range cs.byID {
			if c == nil {
				continue
			}
			if int(c.local()) != id || int(c.id&(shards-1)) != i {
				return fmt.Errorf("channel %d of shard %d has id %d", id, i, c.id)
			}
			if err := checkChannel(s, cs, c); err != nil {
				return err
			}
			for at, a := range c.cells {
				sid := s.sids.at(a.sid)
				_, linked := sid.channels.Get(&s.sids.mem, c.id)
				if at > 0 && c.cells[at-1].sid >= a.sid || a.members.Empty() || !linked {
					return fmt.Errorf("cell of %q in channel %q: empty, out of order or without a way back", sid.name, c.name())
				}
				if sid.dead == 0 {
					counts[a.sid] += a.members.Len(cs.mem)
					if sid.parked {
						parked += a.members.Len(cs.mem)
					} else {
						visible += a.members.Len(cs.mem)
					}
				}
				for player := range a.members.All(cs.mem) {
					forward[[3]uint32{c.id, a.sid, player}] = true
				}
			}
		}
	}
	for _, o := range s.garbage.orphans {
		mem := s.channels[o.channel.id&(shards-1)].mem
		for player := range o.members.All(mem) {
			if compact.Order(player) >= o.next {
				forward[[3]uint32{o.channel.id, o.cell.sid, player}] = true
			}
		}
	}
	back := 0
	for i, p := range s.players {
		for local := uint32(1); local < p.texts.Cap(); local++ {
			for g := range p.stays(local) {
				if len(g.channels) == 0 {
					return fmt.Errorf("player %q has an empty group", p.texts.Text(local))
				}
				for _, c := range g.channels {
					back++
					if !forward[[3]uint32{c, g.sid, local<<shardBits | uint32(i)}] {
						return fmt.Errorf("player %q on %q has a way back to channel %d, where it is not", p.texts.Text(local), s.sids.at(g.sid).name, c)
					}
				}
			}
		}
	}
	if back != len(forward) {
		return fmt.Errorf("%d ways back of %d members", back, len(forward))
	}
	for name, sid := range s.sids.byName {
		if sid.name != name || sid.count != counts[sid.number] || sid.channels.Empty() && sid.orphans == 0 {
			return fmt.Errorf("sid %q: %d members counted, %d there", name, sid.count, counts[sid.number])
		}
		if srv := s.servers[name]; sid.parked != (srv != nil && !srv.Up) && !sid.channels.Empty() {
			return fmt.Errorf("members of %q parked: %v", name, sid.parked)
		}
	}
	if st := s.Stats(); st.Memberships != visible || st.Parked != parked {
		return fmt.Errorf("%d members and %d parked, counted %+v", visible, parked, st)
	}
	return nil
}

func checkChannel(s *State, cs *channels, c *channel) error {
	if c.ended == 0 && (cs.findString(string(c.name())) != c || len(c.cells) == 0) {
		return fmt.Errorf("channel %q is not found by its name, or has no cells", c.name())
	}
	if found, _ := s.order.tree.Get(c); (found == c) != (c.ended == 0) {
		return fmt.Errorf("channel %q ended at %d and is in order: %v", c.name(), c.ended, found == c)
	}
	size := 0
	for i := range c.cells {
		size += c.cells[i].members.Len(cs.mem)
	}
	if size != int(c.size) {
		return fmt.Errorf("channel %q has %d members, counted %d", c.name(), size, c.size)
	}
	return nil
}

// ApplyMessage applies an entry that never was bytes.
func ApplyMessage(r *Replica, index uint64, e *fsmpb.Entry) Result {
	r.lock()
	defer r.unlock()
	defer r.publishLocked()
	return r.state.Apply(index, e)
}

// SetForgotten does what a Forget would.
func SetForgotten(s *State, index uint64) { s.forgotten = index }

// WaitersLen says how many wait.
func WaitersLen(r *Replica) int {
	r.waiters.mu.Lock()
	defer r.waiters.mu.Unlock()
	return len(r.waiters.heap)
}

// Pinned says that somebody may have ids of the state in hand.
func Pinned(s *State) bool { return !s.pins.none() }
