package nemesis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
)

var members = family(OfMembers, nil, []Nemesis{
	{Name: "join-and-leave", Hurt: joinAndLeave, needs: canJoin},
	{Name: "voters-join", Hurt: votersJoin, needs: canJoin},
	{Name: "moved", Hurt: moved, needs: canMove},
})

func canJoin(c Cluster) bool { _, ok := c.(Joiner); return ok }
func canMove(c Cluster) bool { _, ok := c.(Mover); return ok }

// joinAndLeave: a server joins, lives for a while, and is decommissioned. Leaders may
// die meanwhile. It does not vote: voters are added in pairs only.
func joinAndLeave(ctx context.Context, s *Scene) (seen string, err error) {
	return s.visited(ctx, s.guest(true))
}

// votersJoin: two servers join, get votes, and are decommissioned. Leaders may die
// meanwhile, and one of the two may lead. In the end those vote who did before.
func votersJoin(ctx context.Context, s *Scene) (seen string, err error) {
	old, err := s.electorate(ctx, s.everybody()...)
	if err != nil {
		return "", err
	}
	seen, err = s.visited(ctx, s.guest(false), s.guest(false))
	if err != nil {
		return "", err
	}
	return seen, harness.Await(ctx, fmt.Sprintf("%v to vote, and nobody else", old), func(ctx context.Context) error {
		now, err := s.electorate(ctx, s.everybody()...)
		if err == nil && !slices.Equal(now, old) {
			err = fmt.Errorf("%v do", now)
		}
		return err
	})
}

func (s *Scene) guest(nonVoter bool) Guest {
	return Guest{SID: fmt.Sprintf("guest-%d", s.Rand.Uint32()), NonVoter: nonVoter}
}

// electorate is those of these servers that vote, by their own account.
func (s *Scene) electorate(ctx context.Context, among ...string) (voters []string, err error) {
	for _, sid := range among {
		st, err := s.Status(ctx, sid)
		if err != nil {
			return nil, err
		}
		if st.GetRole() == "voter" {
			voters = append(voters, sid)
		}
	}
	slices.Sort(voters)
	return voters, nil
}

// visited has guests join, and leave in any order. Whatever becomes of it, they leave.
func (s *Scene) visited(ctx context.Context, guests ...Guest) (seen string, err error) {
	j := s.Cluster.(Joiner)
	for _, g := range guests {
		if err := j.Join(ctx, g); err != nil {
			return "", errors.Join(err, s.farewell(ctx))
		}
		s.guests = append(s.guests, g)
	}
	seen, err = s.visit(ctx)
	return seen, mended(err, func() error { return s.farewell(ctx) })
}

func (s *Scene) visit(ctx context.Context) (seen string, err error) {
	var told []string
	for _, g := range s.guests {
		if err := s.Ready(ctx, g.SID); err != nil {
			return "", err
		}
		st, err := s.Status(ctx, g.SID)
		if err != nil {
			return "", err
		}
		told = append(told, fmt.Sprintf("%s came as life %d", g.SID, st.GetEpoch()))
	}
	if err := s.allVote(ctx); err != nil {
		return "", err
	}
	if err := s.Lasts(ctx, 0, 20*time.Second); err != nil {
		return "", err
	}
	if happens := []func(context.Context, *Scene) (string, error){killLeader, transferred, nil}[s.Rand.IntN(3)]; happens != nil {
		if seen, err = happens(ctx, s); err != nil {
			return "", err
		}
		told = append(told, seen)
	}
	leader, err := s.Lead(ctx, 0)
	return fmt.Sprintf("%s; %v led when they left", strings.Join(told, ", "), leader), err
}

// transferred has leadership move until a guest leads, as far as any can.
func transferred(ctx context.Context, s *Scene) (seen string, err error) {
	var told []string
	for range s.Voters() {
		now, err := s.Lead(ctx, 0)
		if err != nil {
			return "", err
		}
		if slices.ContainsFunc(s.guests, func(g Guest) bool { return g.SID == now.SID }) {
			break
		}
		if err := s.Transfer(ctx, now.SID); err == nil { // it may be refused, or have lost leadership
			told = append(told, now.SID)
		}
	}
	return fmt.Sprintf("leadership given away by %v", told), nil
}

// allVote waits until all guests have the vote that they may have.
func (s *Scene) allVote(ctx context.Context) error {
	return harness.Await(ctx, "guests to vote", func(ctx context.Context) error {
		for _, g := range s.guests {
			st, err := s.Status(ctx, g.SID)
			if err == nil && !g.NonVoter && st.GetRole() != "voter" {
				err = fmt.Errorf("the role of %s is %q", g.SID, st.GetRole())
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// farewell decommissions the guests, a leader among them as any other.
func (s *Scene) farewell(ctx context.Context) (err error) {
	guests := s.guests
	s.Rand.Shuffle(len(guests), func(i, j int) { guests[i], guests[j] = guests[j], guests[i] })
	lives := make([]map[string]uint64, len(guests))
	for i, g := range guests {
		lives[i] = s.lives(ctx, g.SID)
	}
	s.guests = nil
	for i, g := range guests {
		left := s.Cluster.(Joiner).Decommission(ctx, g.SID)
		if left == nil && len(lives[i]) > 0 {
			left = s.ended(ctx, lives[i])
		}
		err = errors.Join(err, left)
	}
	return err
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
