package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// Nemesis is one way to hurt a cluster and to mend it.
type Nemesis struct {
	Name   string
	Family Family
	// Hurt returns what was seen of it. A fault that left no trace does not count and is
	// ErrUnseen; any other error is a broken promise: nobody leads, somebody does not come
	// back. The cluster is as before, or on the way there.
	Hurt      func(ctx context.Context, s *Scene) (seen string, err error)
	Stops     bool // it stops processes, which only real clusters can
	Snapshots bool // it needs snapshots, so real servers must take them often

	needs func(Cluster) bool // nil, in the tables: every cluster will do
}

// ErrUnseen is of a fault that left no trace.
var ErrUnseen = errors.New("not seen")

func unseen(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrUnseen, fmt.Errorf(format, args...))
}

// Family is what a nemesis spoils.
type Family string

// The families.
const (
	OfProcesses Family = "processes"
	OfNetworks  Family = "network"
	OfDisks     Family = "disks"
	OfMembers   Family = "members"
)

// family makes them one; all need the same, each besides that what it needs itself.
func family(f Family, needs func(Cluster) bool, list []Nemesis) []Nemesis {
	for i := range list {
		own := list[i].needs
		list[i].Family, list[i].needs = f, func(c Cluster) bool {
			return (needs == nil || needs(c)) && (own == nil || own(c))
		}
	}
	return list
}

// All are the ways there are, in the order of their families.
func All() []Nemesis { return slices.Concat(processes, networks, disks, members) }

// Named finds nemeses by their names, or by those of families.
func Named(names ...string) ([]Nemesis, error) {
	var found []Nemesis
	for _, name := range names {
		before := len(found)
		for _, n := range All() {
			if n.Name == name || string(n.Family) == name {
				found = append(found, n)
			}
		}
		if len(found) == before {
			return nil, fmt.Errorf("no nemesis %q; there are %s", name, strings.Join(namesOf(All()), ", "))
		}
	}
	return found, nil
}

// Able says whether c can suffer n.
func (n Nemesis) Able(c Cluster) bool { return n.needs(c) }

// Scene is a cluster under nemeses. It is for one goroutine.
type Scene struct {
	Cluster
	Rand *rand.Rand

	reigns map[Reigning]bool // that were seen
	times  map[string][]time.Duration
	guests []Guest // that are there
}

// NewScene makes one; what nemeses do follows from rnd.
func NewScene(c Cluster, rnd *rand.Rand) *Scene {
	return &Scene{Cluster: c, Rand: rnd, reigns: make(map[Reigning]bool), times: make(map[string][]time.Duration)}
}

// Reigns are how many leaders were seen, and the terms from the first to the last.
func (s *Scene) Reigns() (leaders int, terms uint64) {
	var first, last uint64
	for r := range s.reigns {
		if first == 0 || r.Term < first {
			first = r.Term
		}
		last = max(last, r.Term)
	}
	return len(s.reigns), last - first
}

// Voters are those of the cluster, and guests that may vote.
func (s *Scene) Voters() []string { return s.with(false, s.Cluster.Voters()) }

// NonVoters are all others.
func (s *Scene) NonVoters() []string { return s.with(true, s.Cluster.NonVoters()) }

func (s *Scene) with(nonVoter bool, list []string) []string {
	list = slices.Clone(list)
	for _, g := range s.guests {
		if g.NonVoter == nonVoter {
			list = append(list, g.SID)
		}
	}
	return list
}

// everybody is all servers.
func (s *Scene) everybody() []string { return slices.Concat(s.Voters(), s.NonVoters()) }

// majority is so many voters that nothing is committed without one of them.
func (s *Scene) majority() int { return len(s.Voters())/2 + 1 }

// Reigning is a leader and its term.
type Reigning struct {
	SID  string
	Term uint64
}

func (r Reigning) String() string { return fmt.Sprintf("%s in term %d", r.SID, r.Term) }

// Lead waits until one of those servers leads in a term above after and all of them
// agree; without any, all servers.
func (s *Scene) Lead(ctx context.Context, after uint64, among ...string) (Reigning, error) {
	if len(among) == 0 {
		among = s.everybody()
	}
	var found Reigning
	err := harness.Await(ctx, fmt.Sprintf("a leader after term %d among %v", after, among), func(ctx context.Context) error {
		statuses := make([]*pb.StatusResponse, len(among))
		for i, sid := range among {
			st, err := s.Status(ctx, sid)
			if err != nil {
				return err
			}
			statuses[i] = st
		}
		i, err := leads(statuses, after)
		if err == nil {
			found = Reigning{among[i], statuses[i].GetTerm()}
			s.reigns[found] = true
		}
		return err
	})
	return found, err
}

// deposed waits until one of the rest leads, after the leader was hurt.
func (s *Scene) deposed(ctx context.Context, old Reigning, hurt time.Time, rest []string) (seen string, err error) {
	now, err := s.Lead(ctx, old.Term, rest...)
	if err != nil {
		return "", fmt.Errorf("nobody followed %v: %w", old, err)
	}
	return fmt.Sprintf("%v was followed by %v after %v", old, now, time.Since(hurt).Round(time.Millisecond)), nil
}

// Lasts is for how long a fault stays.
func (s *Scene) Lasts(ctx context.Context, least, most time.Duration) error {
	d := least
	if most > least {
		d += time.Duration(s.Rand.Int64N(int64(most - least)))
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// shuffled is list in another order.
func (s *Scene) shuffled(list []string) []string {
	list = slices.Clone(list)
	s.Rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// followers are the voters that do not lead, shuffled.
func (s *Scene) followers(leader string) []string { return s.shuffled(without(s.Voters(), leader)) }

// back starts servers again and waits for them, also where the fault took all its time.
func (s *Scene) back(ctx context.Context, sids ...string) error {
	if !errors.Is(ctx.Err(), context.Canceled) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), backTime)
		defer cancel()
	}
	if err := s.Start(ctx, sids...); err != nil {
		return err
	}
	return s.Ready(ctx, sids...)
}

// backTime is what a start may take.
const backTime = 2 * time.Minute

// restarted is back, and what is seen of it: each has another life.
func (s *Scene) restarted(ctx context.Context, before map[string]uint64, sids ...string) (seen string, err error) {
	if err := s.back(ctx, sids...); err != nil {
		return "", err
	}
	var told []string
	for _, sid := range sids {
		st, err := s.Status(ctx, sid)
		if err != nil {
			return "", err
		}
		if st.GetEpoch() == before[sid] {
			return "", fmt.Errorf("%s still has life %d", sid, before[sid])
		}
		told = append(told, fmt.Sprintf("%s has life %d after %d", sid, st.GetEpoch(), before[sid]))
	}
	return strings.Join(told, ", "), nil
}

// lives are the epochs of those that run.
func (s *Scene) lives(ctx context.Context, sids ...string) map[string]uint64 {
	lives := make(map[string]uint64)
	for _, sid := range sids {
		if st, err := s.Status(ctx, sid); err == nil {
			lives[sid] = st.GetEpoch()
		}
	}
	return lives
}

func without(list []string, not ...string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(not, s) })
}

// mended runs mend whatever became of the fault, and joins the errors.
func mended(err error, mend ...func() error) error {
	for _, m := range mend {
		err = errors.Join(err, m())
	}
	return err
}

func namesOf(list []Nemesis) (names []string) {
	for _, n := range list {
		names = append(names, n.Name)
	}
	return names
}
