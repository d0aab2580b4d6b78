package fsm

import (
	"cmp"
	"slices"
)

// Records are those of all sids that the state knows: the life that is up, else
// the last one. Sorted by sid.
func (s *State) Records() []Server {
	all := make([]Server, 0, len(s.servers))
	for _, srv := range s.servers {
		all = append(all, srv.Server)
	}
	slices.SortFunc(all, func(a, b Server) int { return cmp.Compare(a.SID, b.SID) })
	return all
}
