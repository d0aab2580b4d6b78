package fsm

import (
	"maps"
	"slices"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// serverUp registers a life. It is safe to repeat and safe to arrive late: the
// order of its checks is that of DESIGN.md, section 5.
func (s *State) serverUp(index uint64, up *fsmpb.ServerUp, version uint32) UpResult {
	if !validServerUp(up) {
		return s.upResult(UpInvalid, up.GetSid())
	}
	cur := s.servers[up.GetSid()]
	if cur != nil && cur.Up && cur.Incarnation == up.GetIncarnation() {
		return s.upResult(s.sameLife(index, cur, up, version), cur.SID)
	}
	if cur != nil && cur.Changed > up.GetSeen() {
		return s.upResult(UpSuperseded, cur.SID)
	}
	// There may have been a later life, and its end, since.
	if cur == nil && s.forgotten > up.GetSeen() {
		return s.upResult(UpSuperseded, up.GetSid())
	}
	if cur != nil && cur.Up && cur.NodeID != up.GetNodeId() && cur.Epoch != up.GetEnds() {
		return s.upResult(UpInUse, cur.SID)
	}
	if refusal := s.agent(up); refusal != 0 {
		return s.upResult(refusal, up.GetSid())
	}
	if !s.roomForLife(cur, up) {
		return s.upResult(UpLimit, up.GetSid())
	}
	s.newLife(index, cur, up, version)
	return s.upResult(UpNew, up.GetSid())
}

func (s *State) upResult(outcome UpOutcome, sid string) UpResult {
	r := UpResult{Outcome: outcome}
	if srv := s.servers[sid]; srv != nil {
		r.Server, r.LastNumber, r.Predecessor = srv.Server, srv.lastNumber, srv.predecessor
	}
	return r
}

// sameLife answers a registration of the life that is up. Only where it can be
// reached may have changed: an attached frontend went to another agent. A
// registration older than the record is a late repeat and must not move the
// life back to an agent that it has left.
func (s *State) sameLife(index uint64, cur *server, up *fsmpb.ServerUp, version uint32) UpOutcome {
	moved := cur.Via != up.GetVia() || cur.ViaEpoch != up.GetViaEpoch() || cur.Addr != up.GetAddr()
	if !moved || cur.Changed > up.GetSeen() {
		return UpSame
	}
	if refusal := s.agent(up); refusal != 0 {
		return refusal
	}
	cur.Via, cur.ViaEpoch, cur.Addr = up.GetVia(), up.GetViaEpoch(), up.GetAddr()
	if version >= parkingLevel {
		cur.NodeID = up.GetNodeId() // of its agent: who says there that it is not here is to be believed
	}
	s.recordChanged(cur, index)
	return UpSame
}

// agent refuses an attached life whose agent is not up, or is attached itself:
// a chain could end the very agent that a new life in it relies on.
func (s *State) agent(up *fsmpb.ServerUp) UpOutcome {
	switch {
	case up.GetVia() == "":
		return 0
	case !s.lives(up.GetVia(), up.GetViaEpoch()):
		return UpSuperseded
	case s.servers[up.GetVia()].Via != "":
		return UpInvalid
	}
	return 0
}

// lives says whether that very life is up.
func (s *State) lives(sid string, epoch uint64) bool {
	srv := s.servers[sid]
	return srv != nil && srv.Up && srv.Epoch == epoch
}

func (s *State) newLife(index uint64, cur *server, up *fsmpb.ServerUp, version uint32) {
	if cur != nil && cur.Up {
		s.end(cur, index, version)
	}
	epoch := s.epoch(index)
	srv := &server{
		Server: Server{
			SID: up.GetSid(), SType: up.GetStype(), Zone: up.GetZone(), NodeID: up.GetNodeId(),
			Incarnation: up.GetIncarnation(), Addr: up.GetAddr(),
			Via: up.GetVia(), ViaEpoch: up.GetViaEpoch(), Epoch: epoch, Up: true,
		},
		firstEpoch: epoch,
	}
	again := cur != nil && cur.Incarnation == up.GetIncarnation()
	if again {
		srv.firstEpoch = cur.firstEpoch
	}
	restored := 0
	if again && up.GetResume() != nil {
		restored = s.resume(index, cur, up.GetResume())
	} else {
		// Members of another process have gone with it. Those of a sid that had no
		// record until now (external sids) belong to nobody any more.
		s.purge(srv.SID, index)
	}
	if again && version >= parkingLevel {
		srv.predecessor = cur.asPredecessor(restored)
	}
	s.servers[srv.SID] = srv
	s.recordChanged(srv, index)
}

// serverDown ends a life if it is the one that is up: the proposer may have
// been paused while a new life began. An agent ends a life only as long as it
// is attached there: the same life may have gone on to another agent.
func (s *State) serverDown(index uint64, down *fsmpb.ServerDown, version uint32) bool {
	if !s.lives(down.GetSid(), down.GetEpoch()) {
		return false
	}
	srv := s.servers[down.GetSid()]
	if down.GetViaEpoch() != 0 && down.GetViaEpoch() != srv.ViaEpoch {
		return false
	}
	s.end(srv, index, version)
	return true
}

// end ends a life, and at the same index every life that hung on it. The
// record stays: it fences late batches and answers repeated ones.
func (s *State) end(srv *server, index uint64, version uint32) {
	s.endOne(srv, index, version)
	sids := slices.Sorted(maps.Keys(s.servers)) // an old entry purges, and the count of channels depends on the order
	for again := true; again; {
		again = false
		for _, sid := range sids {
			o := s.servers[sid]
			if o.Up && o.Via != "" && !s.lives(o.Via, o.ViaEpoch) {
				s.endOne(o, index, version)
				again = true
			}
		}
	}
}

// endOne is where the meaning of ServerDown has changed: the replicas that
// applied the older entries purged.
func (s *State) endOne(srv *server, index uint64, version uint32) {
	srv.Up = false
	if srv.purged = version < parkingLevel; srv.purged {
		s.purge(srv.SID, index)
	} else {
		srv.parked = s.park(srv.SID)
	}
	s.recordChanged(srv, index)
}

func (s *State) recordChanged(srv *server, index uint64) {
	srv.Changed = index
	s.records++
}
