package nemesis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/fault"
	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
)

var networks = family(OfNetworks, canCut, []Nemesis{
	{Name: "isolate-leader", Hurt: isolateLeader},
	{Name: "isolate-follower", Hurt: partitioned(func(s *Scene, leader string) [][]string {
		one := s.followers(leader)[:1]
		return [][]string{one, without(s.everybody(), one...)}
	})},
	{Name: "isolate-replica", needs: hasNonVoters, Hurt: partitioned(func(s *Scene, leader string) [][]string {
		one := s.shuffled(s.NonVoters())[:1]
		return [][]string{one, without(s.everybody(), one...)}
	})},
	{Name: "halves", Hurt: partitioned(func(s *Scene, leader string) [][]string {
		minority := append(s.shuffled(s.Voters())[:s.majority()-1], some(s, s.NonVoters())...)
		return [][]string{minority, without(s.everybody(), minority...)}
	})},
	// Nobody has a majority.
	{Name: "shattered", Hurt: partitioned(func(s *Scene, leader string) (parts [][]string) {
		for _, sid := range s.everybody() {
			parts = append(parts, []string{sid})
		}
		return parts
	})},
	{Name: "leader-with-replicas", needs: hasNonVoters, Hurt: leaderWithReplicas},
	{Name: "bridge", Hurt: bridge},
	{Name: "ring", Hurt: ring, needs: func(c Cluster) bool { return len(c.Voters())+len(c.NonVoters()) > 3 }},
	{Name: "leader-cannot-send", Hurt: oneWayLeader(func(leader, others []string) (from, to []string) { return leader, others })},
	{Name: "leader-cannot-hear", Hurt: oneWayLeader(func(leader, others []string) (from, to []string) { return others, leader })},
	{Name: "one-way", Hurt: oneWay},
	{Name: "flapping", Hurt: flapping},
	{Name: "only-gossip-lost", Hurt: onlyLost(fault.Gossip)},
	{Name: "only-calls-lost", Hurt: onlyLost(fault.Calls)},
	{Name: "slow-network", Hurt: weather(fault.Weather{Delay: 60 * time.Millisecond, Jitter: 60 * time.Millisecond})},
	{Name: "lossy-network", Hurt: weather(fault.Weather{Delay: time.Millisecond, Loss: 0.08})},
	{Name: "duplicating-network", Hurt: weather(fault.Weather{Delay: time.Millisecond, Duplicate: 0.2})},
	{Name: "reordering-network", Hurt: weather(fault.Weather{Delay: 2 * time.Millisecond, Jitter: 4 * time.Millisecond, Reorder: 0.2})},
})

func canCut(c Cluster) bool {
	if r, ok := c.(Real); ok {
		return r.Networked()
	}
	_, ok := c.(Network)
	return ok
}

func some(s *Scene, list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return s.shuffled(list)[:s.Rand.IntN(len(list)+1)]
}

func (s *Scene) network() Network { return s.Cluster.(Network) }

// cut loses everything between two groups, both ways.
func (s *Scene) cut(a, b []string) error { return Split(s.network(), a, b, fault.All) }

func isolateLeader(ctx context.Context, s *Scene) (seen string, err error) {
	return s.cutOffLeader(ctx, nil)
}

// leaderWithReplicas: VerifyLeader, which counts non-voters too, is content.
func leaderWithReplicas(ctx context.Context, s *Scene) (seen string, err error) {
	return s.cutOffLeader(ctx, s.NonVoters())
}

func (s *Scene) cutOffLeader(ctx context.Context, along []string) (seen string, err error) {
	old, err := s.Lead(ctx, 0)
	if err != nil {
		return "", err
	}
	inside := append([]string{old.SID}, along...)
	rest := without(s.everybody(), inside...)
	if err = s.cut(inside, rest); err == nil {
		seen, err = s.lost(ctx, old, rest)
	}
	if err == nil {
		err = s.Lasts(ctx, 0, 15*time.Second)
	}
	return seen, mended(err, s.network().Heal)
}

// partitioned cuts the cluster in parts that hear nothing of each other. What is seen
// is that those without a majority come to know no leader.
func partitioned(parts func(s *Scene, leader string) [][]string) func(context.Context, *Scene) (string, error) {
	return func(ctx context.Context, s *Scene) (seen string, err error) {
		old, err := s.Lead(ctx, 0)
		if err != nil {
			return "", err
		}
		list := parts(s, old.SID)
		for i, a := range list {
			for _, b := range list[i+1:] {
				err = errors.Join(err, s.cut(a, b))
			}
		}
		for _, part := range list {
			if err == nil && len(without(part, s.NonVoters()...)) < s.majority() {
				err = s.leaderless(ctx, part)
			}
		}
		if err == nil {
			err = s.Lasts(ctx, 0, 12*time.Second)
		}
		return fmt.Sprintf("parts %v, those without a majority had no leader", list), mended(err, s.network().Heal)
	}
}

// leaderless waits until each of them knows no leader.
func (s *Scene) leaderless(ctx context.Context, sids []string) error {
	for _, sid := range sids {
		if err := harness.Await(ctx, sid+" to know no leader", func(ctx context.Context) error {
			st, err := s.Status(ctx, sid)
			if err == nil && st.GetLeader() != "" {
				err = fmt.Errorf("it knows %s", st.GetLeader())
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// bridge: two halves hear each other only over one voter in between.
func bridge(ctx context.Context, s *Scene) (seen string, err error) {
	voters := s.shuffled(s.Voters())
	middle, rest := voters[0], append(voters[1:], s.shuffled(s.NonVoters())...)
	half := len(rest) / 2
	return s.spoiled(ctx, fmt.Sprintf("%v and %v see each other over %s", rest[:half], rest[half:], middle), 15*time.Second, func() error {
		return s.cut(rest[:half], rest[half:])
	})
}

// ring: each hears its two neighbours only.
func ring(ctx context.Context, s *Scene) (seen string, err error) {
	list := s.shuffled(s.everybody())
	return s.spoiled(ctx, fmt.Sprintf("ring %v", list), 15*time.Second, func() (err error) {
		for i, a := range list {
			for j, b := range list {
				if d := (j - i + len(list)) % len(list); d > 1 && d < len(list)-1 {
					err = errors.Join(err, s.network().Cut(a, b, fault.All))
				}
			}
		}
		return err
	})
}

func oneWayLeader(way func(leader, others []string) (from, to []string)) func(context.Context, *Scene) (string, error) {
	return func(ctx context.Context, s *Scene) (seen string, err error) {
		old, err := s.Lead(ctx, 0)
		if err != nil {
			return "", err
		}
		rest := without(s.everybody(), old.SID)
		from, to := way([]string{old.SID}, rest)
		if err = CutAll(s.network(), from, to, fault.All); err == nil {
			seen, err = s.deposed(ctx, old, time.Now(), rest)
		}
		if err == nil {
			err = s.Lasts(ctx, 0, 15*time.Second)
		}
		return seen, mended(err, s.network().Heal)
	}
}

func oneWay(ctx context.Context, s *Scene) (seen string, err error) {
	list := s.shuffled(s.everybody())
	return s.spoiled(ctx, fmt.Sprintf("%s cannot send to %s", list[0], list[1]), 25*time.Second, func() error {
		return s.network().Cut(list[0], list[1], fault.All)
	})
}

// flapping: one server's connections come and go every second or so.
func flapping(ctx context.Context, s *Scene) (seen string, err error) {
	victim := s.shuffled(s.everybody())[0]
	flaps := 5 + s.Rand.IntN(10)
	for range flaps {
		if err = s.Lasts(ctx, 100*time.Millisecond, 2*time.Second); err != nil {
			return "", err
		}
		if _, err = s.spoiled(ctx, victim, time.Second, func() error { return s.cut([]string{victim}, without(s.everybody(), victim)) }); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%s came and went %d times", victim, flaps), nil
}

// onlyLost loses one kind of traffic of all servers.
func onlyLost(what fault.Traffic) func(context.Context, *Scene) (string, error) {
	return func(ctx context.Context, s *Scene) (seen string, err error) {
		most := 15 * time.Second
		if what == fault.Gossip {
			most = time.Minute // nothing is to come of it, however long
		}
		return s.spoiled(ctx, fmt.Sprintf("%v lost everywhere", what), most, func() error {
			return CutAll(s.network(), s.everybody(), s.everybody(), what)
		})
	}
}

func weather(w fault.Weather) func(context.Context, *Scene) (string, error) {
	return func(ctx context.Context, s *Scene) (seen string, err error) {
		return s.spoiled(ctx, fmt.Sprintf("weather %+v everywhere", w), 20*time.Second, func() error {
			return SetWeatherAmong(s.network(), s.everybody(), w)
		})
	}
}

// spoiled is seen by what the network had to lose or change meanwhile.
func (s *Scene) spoiled(ctx context.Context, what string, most time.Duration, spoil func() error) (seen string, err error) {
	before := s.network().Touched()
	if err = spoil(); err == nil {
		err = s.Lasts(ctx, most/4, most)
	}
	touched := s.network().Touched() - before
	if err == nil && touched == 0 {
		err = unseen("%s: nothing was sent that way", what)
	}
	return fmt.Sprintf("%s: %d packets", what, touched), mended(err, s.network().Heal)
}
