package fsm

// Stamp says in what condition a channel is. While a channel has the same one, so are its
// members, and the lives of all servers. It holds no memory of the state.
type Stamp struct {
	state            *identity
	changed, records uint64
}

// identity is of one State. A restored one counts anew.
type identity struct{ _ byte }

// Stamp is that of a channel now; of one that does not exist, too.
func (s *State) Stamp(name string) Stamp {
	stamp := Stamp{state: s.identity, records: s.records}
	if _, c := s.look(name); c != nil {
		stamp.changed = s.lastChange(c)
	}
	return stamp
}
