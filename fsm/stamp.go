package fsm

// Stamp says in what condition a channel is, or its members on one server. While it is
// the same one, so are the members, and the lives of all servers. It holds no memory of
// the state.
type Stamp struct {
	state            *identity
	changed, records uint64
}

// identity is of one State. A restored one counts anew.
type identity struct{ _ byte }

// nowhere is no index.
const nowhere = 1<<64 - 1

func (s *State) stampAt(changed uint64) Stamp {
	return Stamp{state: s.identity, records: s.records, changed: changed}
}

// Stamp is that of a channel; of one that does not exist, too.
func (s *State) Stamp(name string) Stamp {
	cs, c := s.look(name)
	defer s.leave(cs)
	if c != nil {
		return s.stampAt(s.lastChange(c))
	}
	return s.stampAt(nowhere)
}

// StampBySID is that of a channel's members on one server.
func (s *State) StampBySID(name, sid string) Stamp {
	on := s.shown(sid)
	if on == nil {
		return s.stampAt(nowhere)
	}
	cs, c := s.look(name)
	defer s.leave(cs)
	if c != nil {
		if m := s.crew(cs, c, on); m.sid != nil {
			return s.stampAt(uint64(m.last))
		}
	}
	return s.stampAt(nowhere)
}
