package nemesis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/fault"
	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
)

// At most a minority of the voters has a spoiled disk; the power may go everywhere.
var disks = family(OfDisks, canSpoil, []Nemesis{
	{Name: "disk-full", Hurt: spoiledDisk(Disks.FillDisk)},
	{Name: "disk-error", Hurt: spoiledDisk(Disks.FailDisk)},
	{Name: "disk-hang", Hurt: spoiledDisk(Disks.HangDisk)},
	{Name: "slow-fsync", Hurt: slowDisk},
	{Name: "power-cut", Hurt: powerCut(func(s *Scene) []string { return s.shuffled(s.Voters())[:1] })},
	{Name: "power-cut-all", Hurt: powerCut(func(s *Scene) []string { return s.everybody() })},
	{Name: "log-flipped", Hurt: damaged(fault.Log, fault.Flipped)},
	{Name: "log-truncated", Hurt: damaged(fault.Log, fault.Truncated)},
	{Name: "snapshot-flipped", Snapshots: true, needs: canCompact, Hurt: damaged(fault.Snapshot, fault.Flipped)},
	{Name: "snapshot-truncated", Snapshots: true, needs: canCompact, Hurt: damaged(fault.Snapshot, fault.Truncated)},
	{Name: "wiped", Hurt: wiped},
	{Name: "stale", Hurt: stale},
})

func canSpoil(c Cluster) bool {
	if r, ok := c.(Real); ok {
		return r.Spoilable()
	}
	_, ok := c.(Disks)
	return ok
}

func (s *Scene) disks() Disks { return s.Cluster.(Disks) }

// patience is for what a server does by itself once its disk is well.
const patience = 20 * time.Second

// spoiledDisk spoils one voter's, and is seen by the problem that this server tells.
func spoiledDisk(spoil func(Disks, string) (func() error, error)) func(context.Context, *Scene) (string, error) {
	return func(ctx context.Context, s *Scene) (seen string, err error) {
		victim := s.shuffled(s.Voters())[0]
		mend, err := spoil(s.disks(), victim)
		if err != nil {
			return "", err
		}
		seen, err = s.problem(ctx, victim)
		if err == nil {
			err = s.Lasts(ctx, 0, 15*time.Second)
		}
		if err = mended(err, mend); err != nil {
			return "", err
		}
		return seen, s.wellAgain(ctx, victim)
	}
}

func (s *Scene) problem(ctx context.Context, sid string) (told string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err = harness.Await(ctx, sid+" to tell of its disk", func(ctx context.Context) error {
		st, err := s.Status(ctx, sid)
		if err == nil && st.GetProblem() == "" {
			err = errors.New("it tells of no problem")
		}
		told = fmt.Sprintf("%s says: %s", sid, st.GetProblem())
		return err
	})
	return told, err
}

// wellAgain starts a server anew that does not get over it, as a failed store does not.
func (s *Scene) wellAgain(ctx context.Context, sid string) error {
	short, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := harness.Await(short, sid+" to be well", func(ctx context.Context) error {
		st, err := s.Status(ctx, sid)
		if err == nil && st.GetProblem() != "" {
			err = errors.New(st.GetProblem())
		}
		return err
	}); err == nil {
		return nil
	}
	if err := s.Kill(sid); err != nil {
		return err
	}
	return s.back(ctx, sid)
}

// slowDisk: fsync takes 100 to 400 ms; the cluster goes on.
func slowDisk(ctx context.Context, s *Scene) (seen string, err error) {
	old, err := s.Lead(ctx, 0)
	if err != nil {
		return "", err
	}
	sync := time.Duration(100+s.Rand.IntN(300)) * time.Millisecond
	mend, err := s.disks().SlowDisk(old.SID, sync)
	if err != nil {
		return "", err
	}
	before, err := s.Status(ctx, old.SID)
	if err == nil {
		err = s.Lasts(ctx, 5*time.Second, 20*time.Second)
	}
	if err = mended(err, mend); err != nil {
		return "", err
	}
	after, err := s.Status(ctx, old.SID)
	if err == nil && after.GetApplied() <= before.GetApplied() {
		err = fmt.Errorf("%s synced in %v, and nothing was committed", old.SID, sync)
	}
	return fmt.Sprintf("%s synced in %v and got from index %d to %d", old.SID, sync, before.GetApplied(), after.GetApplied()), err
}

func powerCut(which func(s *Scene) []string) func(context.Context, *Scene) (string, error) {
	return func(ctx context.Context, s *Scene) (seen string, err error) {
		victims := which(s)
		before := s.lives(ctx, victims...)
		if err := s.disks().CutPower(victims...); err != nil {
			return "", err
		}
		if err := s.Lasts(ctx, 0, 5*time.Second); err != nil {
			return "", err
		}
		return s.restarted(ctx, before, victims...)
	}
}

// damaged: a follower finds its log or its newest snapshot damaged when it starts. It
// gets over it, or it says so and refuses; its operator then gives it an empty disk.
func damaged(f fault.File, d fault.Damage) func(context.Context, *Scene) (string, error) {
	return func(ctx context.Context, s *Scene) (seen string, err error) {
		old, err := s.Lead(ctx, 0)
		if err != nil {
			return "", err
		}
		victim := s.followers(old.SID)[0]
		if f == fault.Snapshot {
			for range 1 + s.Rand.IntN(2) { // with two there is one to fall back to
				if err := s.newSnapshot(ctx, victim); err != nil {
					return "", err
				}
			}
		}
		before := s.lives(ctx, victim)
		if err := s.Kill(victim); err != nil {
			return "", err
		}
		if err := s.disks().Damage(victim, f, d); err != nil {
			return "", errors.Join(unseen("no damage done: %w", err), s.back(ctx, victim))
		}
		seen, err = s.restarted(ctx, before, victim)
		if err == nil {
			return "in spite of the damage " + seen, nil
		}
		refusal := err
		if errors.Is(refusal, context.DeadlineExceeded) && ctx.Err() == nil {
			return "", fmt.Errorf("neither started nor refused: %w", refusal)
		}
		if err := s.Kill(victim); err != nil {
			return "", err
		}
		if err := s.disks().Wipe(victim); err != nil {
			return "", err
		}
		seen, err = s.replaced(ctx, before, victim)
		return fmt.Sprintf("it did not start: %v; with an empty disk %s", refusal, seen), err
	}
}

// newSnapshot has a server take one that it has not had before.
func (s *Scene) newSnapshot(ctx context.Context, sid string) error {
	c := s.Cluster.(Compactor)
	before, err := c.Snapshot(sid)
	for now := before; err == nil && now <= before; now, err = c.Snapshot(sid) {
		// Again and again: there may have been nothing new to take one of.
		if err = errors.Join(c.Compact(sid), s.Lasts(ctx, time.Second, time.Second)); err != nil {
			return err
		}
	}
	return err
}

func wiped(ctx context.Context, s *Scene) (seen string, err error) {
	victim := s.shuffled(s.Voters())[0]
	before := s.lives(ctx, victim)
	if err := s.Kill(victim); err != nil {
		return "", err
	}
	if err := s.disks().Wipe(victim); err != nil {
		return "", err
	}
	return s.replaced(ctx, before, victim)
}

// replaced starts a server without its data: a new node, which votes again once it
// has shown that it lasts. Up to then, and until the old one has no vote any more, a
// second fault may be one too many.
func (s *Scene) replaced(ctx context.Context, before map[string]uint64, sid string) (seen string, err error) {
	if seen, err = s.restarted(ctx, before, sid); err != nil {
		return "", err
	}
	return seen, harness.Await(ctx, sid+" to vote again", func(ctx context.Context) error {
		st, err := s.Status(ctx, sid)
		if err == nil && st.GetRole() != "voter" {
			err = fmt.Errorf("its role is %q", st.GetRole())
		}
		if n := len(s.Voters()); err == nil && int(st.GetVoters()) != n {
			err = fmt.Errorf("%d servers vote, of %d: the one that it replaces still does", st.GetVoters(), n)
		}
		return err
	})
}

// stale: a follower comes back with an old copy of its directory, and so without entries
// that it had acknowledged, and votes that it had given. Nothing in the directory tells.
// That is no harm as long as the entries are with a majority all the same, so before they
// are forgotten all other voters have them.
func stale(ctx context.Context, s *Scene) (seen string, err error) {
	old, err := s.Lead(ctx, 0)
	if err != nil {
		return "", err
	}
	victim := s.followers(old.SID)[0]
	restore, err := s.copied(ctx, victim)
	if err != nil {
		return "", err
	}
	if err := s.Lasts(ctx, 2*time.Second, 10*time.Second); err != nil {
		return "", err
	}
	if _, err := s.Lead(ctx, 0); err != nil { // all are there
		return "", err
	}
	before := s.lives(ctx, victim)
	if err := s.Kill(victim); err != nil {
		return "", err
	}
	had, err := s.disks().LastIndex(victim)
	if err == nil {
		err = s.haveApplied(ctx, had, without(s.Voters(), victim)...)
	}
	if err = mended(err, restore); err != nil {
		return "", err
	}
	has, err := s.disks().LastIndex(victim)
	if err != nil {
		return "", err
	}
	seen, err = s.restarted(ctx, before, victim)
	if err == nil && has >= had {
		err = unseen("%s had entries up to index %d, and up to %d in an older copy", victim, had, has)
	}
	return fmt.Sprintf("%s had entries up to index %d, and up to %d when it came back; %s", victim, had, has, seen), err
}

// copied restarts a server and copies its directory meanwhile.
func (s *Scene) copied(ctx context.Context, sid string) (restore func() error, err error) {
	before := s.lives(ctx, sid)
	if err := s.Kill(sid); err != nil {
		return nil, err
	}
	restore, err = s.disks().Copy(sid)
	if err != nil {
		return nil, errors.Join(err, s.back(ctx, sid))
	}
	_, err = s.restarted(ctx, before, sid)
	return restore, err
}

// haveApplied waits until each of these servers has applied all up to an index. Clients
// that go on writing see to it that it is reached.
func (s *Scene) haveApplied(ctx context.Context, index uint64, sids ...string) error {
	return harness.Await(ctx, fmt.Sprintf("%v to have index %d", sids, index), func(ctx context.Context) error {
		for _, sid := range sids {
			st, err := s.Status(ctx, sid)
			if err == nil && st.GetApplied() < index {
				err = fmt.Errorf("%s has applied %d", sid, st.GetApplied())
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
