package nemesis

import (
	"context"
	"fmt"
	"time"
)

var members = family(OfMembers, nil, []Nemesis{
	{Name: "join-and-leave", Hurt: joinAndLeave, needs: canJoin},
	{Name: "moved", Hurt: moved, needs: canMove},
})

func canJoin(c Cluster) bool { _, ok := c.(Joiner); return ok }
func canMove(c Cluster) bool { _, ok := c.(Mover); return ok }

// joinAndLeave: a server joins, lives for a while, and is decommissioned. Leaders may
// die meanwhile. It does not vote: voters are added in pairs only.
func joinAndLeave(ctx context.Context, s *Scene) (seen string, err error) {
	j := s.Cluster.(Joiner)
	sid := fmt.Sprintf("guest-%d", s.Rand.Uint32())
	if err := j.Join(ctx, sid); err != nil {
		return "", err
	}
	if err := s.Ready(ctx, sid); err != nil {
		return "", err
	}
	st, err := s.Status(ctx, sid)
	if err != nil {
		return "", err
	}
	if err := s.Lasts(ctx, 0, 20*time.Second); err != nil {
		return "", err
	}
	if s.Rand.IntN(3) == 0 {
		if seen, err = killLeader(ctx, s); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%s came as life %d and left for good; %s", sid, st.GetEpoch(), seen), j.Decommission(ctx, sid)
}

// moved: a voter comes back at another address.
func moved(ctx context.Context, s *Scene) (seen string, err error) {
	victim := s.shuffled(s.Voters())[0]
	st, err := s.Status(ctx, victim)
	if err != nil {
		return "", err
	}
	if err := s.Kill(victim); err != nil {
		return "", err
	}
	if err := s.Lasts(ctx, 0, 3*time.Second); err != nil {
		return "", err
	}
	if err := s.Cluster.(Mover).Move(ctx, victim); err != nil {
		return "", err
	}
	if err := s.Ready(ctx, victim); err != nil {
		return "", err
	}
	now, err := s.Status(ctx, victim)
	if err == nil && now.GetAddr() == st.GetAddr() {
		err = fmt.Errorf("%s is still at %s", victim, st.GetAddr())
	}
	return fmt.Sprintf("%s moved from %s to %s", victim, st.GetAddr(), now.GetAddr()), err
}
