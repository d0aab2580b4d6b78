package fsm

// totals are what the limits of the settings count: all memberships, the parked
// ones too, which may come back, and all channels that have one of them or options.
func (s *State) totals() (memberships, channels int) {
	return s.memberships + s.parked, len(s.channels)
}

// size counts the members of a channel, parked ones too. It says whether options
// keep the channel when none is left.
func (s *State) size(name string) (members int, kept bool) {
	c := s.channels[name]
	if c == nil {
		return 0, false
	}
	for _, uids := range c.members {
		members += len(uids)
	}
	return members, c.options != nil
}
