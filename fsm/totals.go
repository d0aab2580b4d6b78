package fsm

// count is what there is.
type count struct {
	visible, parked int // memberships

	// channels is how many there are. How many a purge has ended is known only when all
	// that it left has been looked at. So the number is set right when a purge has been
	// swept, which it is at the same index everywhere: unswept counts down.
	channels int
	unswept  int // cells of purged sids
	named    int // channels that have a name, with those that a purge has ended
}

func (c *count) begun(named bool) {
	c.channels++
	if named {
		c.named++
	}
}

// add counts memberships of a sid.
func (c *count) add(sid *sid, n int) {
	if sid.parked {
		c.parked += n
	} else {
		c.visible += n
	}
}

// totals are what the limits of the settings count: all memberships, the parked
// ones too, which may come back, and all channels that have one of them.
func (s *State) totals() (memberships, channels int) {
	return s.count.visible + s.count.parked, s.count.channels
}

// size counts the members of a channel, parked ones too.
func (s *State) size(name string) (members int) {
	cs := s.channels[shardOfString(name)]
	if c := cs.findString(name); c != nil {
		for i := range c.cells {
			if s.sids.at(c.cells[i].sid).dead == 0 {
				members += c.cells[i].members.Len(cs.mem)
			}
		}
	}
	return members
}
