package nemesis

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var processes = family(OfProcesses, nil, []Nemesis{
	{Name: "kill-leader", Hurt: killLeader},
	{Name: "kill-follower", Hurt: killed(func(s *Scene, leader string) []string { return s.followers(leader)[:1] })},
	{Name: "kill-replica", Hurt: killed(func(s *Scene, leader string) []string { return s.shuffled(s.NonVoters())[:1] }), needs: hasNonVoters},
	{Name: "kill-minority", Hurt: killed(func(s *Scene, leader string) []string { return s.shuffled(s.Voters())[:s.majority()-1] })},
	{Name: "kill-majority", Hurt: killed(func(s *Scene, leader string) []string { return s.shuffled(s.Voters())[:s.majority()] })},
	{Name: "kill-all", Hurt: killed(func(s *Scene, leader string) []string { return s.everybody() })},
	{Name: "stays-dead", Hurt: stayDead},
	{Name: "rolling-restart", Hurt: rollingRestart},
	{Name: "pause-leader", Stops: true, Hurt: pauseLeader, needs: canPause},
	{Name: "pause-follower", Stops: true, Hurt: pauseFollower, needs: canPause},
	{Name: "pause-majority", Stops: true, Hurt: pauseMajority, needs: canPause},
	{Name: "transfer-storm", Hurt: transferStorm},
	{Name: "snapshot-storm", Snapshots: true, Hurt: snapshotStorm, needs: canCompact},
})

func hasNonVoters(c Cluster) bool { return len(c.NonVoters()) > 0 }
func canPause(c Cluster) bool     { _, ok := c.(Pauser); return ok }

func canCompact(c Cluster) bool {
	if r, ok := c.(Real); ok {
		return r.SnapshotsOften()
	}
	_, ok := c.(Compactor)
	return ok
}

func killLeader(ctx context.Context, s *Scene) (seen string, err error) {
	old, err := s.Lead(ctx, 0)
	if err != nil {
		return "", err
	}
	if err := s.Kill(old.SID); err != nil {
		return "", err
	}
	seen, err = s.lost(ctx, old, without(s.everybody(), old.SID))
	if err == nil {
		err = s.Lasts(ctx, 0, 5*time.Second)
	}
	return seen, mended(err, func() error { return s.back(ctx, old.SID) })
}

// lost is deposed, of a leader that is out of reach as a whole.
func (s *Scene) lost(ctx context.Context, old Reigning, rest []string) (seen string, err error) {
	began := time.Now()
	late := s.written(ctx, rest)
	seen, err = s.deposed(ctx, old, began, rest)
	return seen, errors.Join(err, late)
}

// stayDead kills a server, and waits until the others show it no more.
func stayDead(ctx context.Context, s *Scene) (seen string, err error) {
	victim := s.shuffled(s.everybody())[0]
	old, err := s.Lead(ctx, 0)
	if err != nil {
		return "", err
	}
	before := s.lives(ctx, victim)
	if before[victim] == 0 {
		return "", fmt.Errorf("%s has no life", victim)
	}
	if err := s.Kill(victim); err != nil {
		return "", err
	}
	took, err := s.gone(ctx, before, Reaped.EveryTime)
	if err == nil {
		now := Reigning{}
		// The promise is for one leader, or one who takes over.
		if now, err = s.Lead(ctx, 0, without(s.everybody(), victim)...); err == nil && now.Term <= old.Term+1 {
			err = s.Took(Reaped, took)
		}
	}
	if err == nil {
		err = s.Lasts(ctx, 0, 5*time.Second)
	}
	again := ""
	err = mended(err, func() (err error) {
		again, err = s.restarted(ctx, before, victim)
		return err
	})
	return fmt.Sprintf("nobody showed %s after %v, while %v led at first; %s", victim, took, old, again), err
}

// killed kills some at one moment and starts them again after a while.
func killed(which func(s *Scene, leader string) []string) func(context.Context, *Scene) (string, error) {
	return func(ctx context.Context, s *Scene) (string, error) {
		old, err := s.Lead(ctx, 0)
		if err != nil {
			return "", err
		}
		victims := which(s, old.SID)
		before := s.lives(ctx, victims...)
		if err := s.Kill(victims...); err != nil {
			return "", err
		}
		if err := s.Lasts(ctx, 0, 8*time.Second); err != nil {
			return "", err
		}
		return s.restarted(ctx, before, victims...)
	}
}

// rollingRestart asks each to end, and starts it again once it has.
func rollingRestart(ctx context.Context, s *Scene) (seen string, err error) {
	for _, sid := range s.shuffled(s.everybody()) {
		st, err := s.Status(ctx, sid)
		if err != nil {
			return "", err
		}
		if err := s.End(ctx, sid); err != nil {
			return "", err
		}
		before := map[string]uint64{sid: st.GetEpoch()}
		late := s.ended(ctx, before)
		again, err := s.restarted(ctx, before, sid)
		if err := errors.Join(late, err); err != nil {
			return "", err
		}
		seen += again + "; "
	}
	return seen, nil
}

// pauseLeader lets it go on while it still believes that it leads.
func pauseLeader(ctx context.Context, s *Scene) (seen string, err error) {
	p := s.Cluster.(Pauser)
	old, err := s.Lead(ctx, 0)
	if err != nil {
		return "", err
	}
	if err := p.Pause(old.SID); err != nil {
		return "", err
	}
	seen, err = s.deposed(ctx, old, time.Now(), without(s.everybody(), old.SID))
	if err == nil {
		err = s.Lasts(ctx, 0, s.pause())
	}
	return seen, mended(err, func() error { return p.Resume(old.SID) })
}

// pause is mostly short, now and then up to a minute.
func (s *Scene) pause() time.Duration {
	if s.Rand.IntN(6) == 0 {
		return time.Minute
	}
	return 5 * time.Second
}

func pauseFollower(ctx context.Context, s *Scene) (seen string, err error) {
	old, err := s.Lead(ctx, 0)
	if err != nil {
		return "", err
	}
	return s.paused(ctx, s.followers(old.SID)[:1], time.Second, s.pause())
}

func pauseMajority(ctx context.Context, s *Scene) (seen string, err error) {
	return s.paused(ctx, s.shuffled(s.Voters())[:s.majority()], time.Second, 8*time.Second)
}

// paused is seen by a question that nobody answers. The first one may be answered by what
// still runs when the signal comes: it stops each thread in its turn.
func (s *Scene) paused(ctx context.Context, sids []string, least, most time.Duration) (seen string, err error) {
	p := s.Cluster.(Pauser)
	if err := p.Pause(sids...); err != nil {
		return "", err
	}
	short, cancel := context.WithTimeout(ctx, least)
	defer cancel()
	answers := 0
	for err == nil && answers < 3 {
		if _, err = s.Status(short, sids[0]); err == nil {
			answers++
		}
	}
	if err == nil {
		err = unseen("%s answers although it is paused", sids[0])
	} else {
		err = s.Lasts(ctx, 0, most-least)
	}
	return fmt.Sprintf("%v did not answer", sids), mended(err, func() error { return p.Resume(sids...) })
}

// transferStorm moves leadership as often as it can for a while.
func transferStorm(ctx context.Context, s *Scene) (seen string, err error) {
	old, err := s.Lead(ctx, 0)
	if err != nil {
		return "", err
	}
	moves := 0
	for range 5 + s.Rand.IntN(10) {
		now, err := s.Lead(ctx, 0, s.Voters()...)
		if err != nil {
			return "", err
		}
		moved, err := s.handedOver(ctx, now.SID)
		if err != nil {
			return "", err
		}
		if moved {
			moves++
		}
	}
	now, err := s.Lead(ctx, 0)
	if err != nil {
		return "", err
	}
	if moves == 0 || now.Term <= old.Term {
		return "", unseen("leadership did not move: %v, then %v", old, now)
	}
	return fmt.Sprintf("%d moves, terms %d to %d", moves, old.Term, now.Term), nil
}

// snapshotStorm has everybody take snapshots again and again, while one that is down
// falls behind what the others keep of the log: it can go on from a snapshot only.
func snapshotStorm(ctx context.Context, s *Scene) (seen string, err error) {
	c := s.Cluster.(Compactor)
	old, err := s.Lead(ctx, 0)
	if err != nil {
		return "", err
	}
	victim := s.followers(old.SID)[0]
	st, err := s.Status(ctx, victim)
	if err != nil {
		return "", err
	}
	before := map[string]uint64{victim: st.GetEpoch()}
	if err := s.Kill(victim); err != nil {
		return "", err
	}
	var taken []uint64 // by the leader
	for round := 0; len(taken) < 4 || taken[len(taken)-3] <= st.GetApplied(); round++ {
		if round == storms {
			return "", errors.Join(unseen("snapshots of %s at %v: %s, which has %d, may find all in the log", old.SID, taken, victim, st.GetApplied()), s.back(ctx, victim))
		}
		for _, sid := range without(s.everybody(), victim) {
			if err := c.Compact(sid); err != nil {
				return "", err
			}
		}
		if err := s.Lasts(ctx, time.Second, 2*time.Second); err != nil {
			return "", err
		}
		index, err := c.Snapshot(old.SID)
		if err != nil {
			return "", err
		}
		if len(taken) == 0 || index > taken[len(taken)-1] {
			taken = append(taken, index)
		}
	}
	seen, err = s.restarted(ctx, before, victim)
	return fmt.Sprintf("snapshots of %s at %v, %s had %d; %s", old.SID, taken, victim, st.GetApplied(), seen), err
}

// storms is how many rounds of snapshots it takes at most.
const storms = 20
