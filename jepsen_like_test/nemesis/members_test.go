package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// paper is a cluster of statuses: nothing behind it can break but what a test breaks.
type paper struct {
	term   uint64
	leader string
	voters []string // by their own account
	guests []string

	dull  bool // nobody gets a vote
	taken bool // who is decommissioned takes the vote of another along

	led []string // of those that were decommissioned, who led then
	had int      // majority of voters, when a guest was last asked for its status
	s   *Scene
}

func (p *paper) Voters() []string    { return []string{"v1", "v2", "v3"} }
func (p *paper) NonVoters() []string { return []string{"r1"} }

func (p *paper) Status(_ context.Context, sid string) (*pb.StatusResponse, error) {
	if strings.HasPrefix(sid, "guest") {
		if !slices.Contains(p.guests, sid) {
			return nil, errors.New(sid + " is not there")
		}
		p.had = p.s.majority()
	}
	role := "replica"
	if slices.Contains(p.voters, sid) {
		role = "voter"
	}
	return &pb.StatusResponse{Sid: sid, Term: p.term, Leader: p.leader, Role: role, Epoch: p.term}, nil
}

// lead makes the newest voter the leader.
func (p *paper) lead() {
	p.term++
	p.leader = p.voters[len(p.voters)-1]
}

func (p *paper) Transfer(context.Context, string) error        { p.lead(); return nil }
func (p *paper) Kill(...string) error                          { p.lead(); return nil }
func (p *paper) Start(context.Context, ...string) error        { return nil }
func (p *paper) Ready(_ context.Context, sids ...string) error { return nil }
func (p *paper) End(context.Context, ...string) error          { return nil }
func (p *paper) Write(context.Context, ...string) error        { return nil }

func (p *paper) Lives(context.Context, string) (map[string]uint64, error) {
	return nil, nil
}

func (p *paper) Join(_ context.Context, g Guest) error {
	p.guests = append(p.guests, g.SID)
	if !g.NonVoter && !p.dull {
		p.voters = append(p.voters, g.SID)
	}
	return nil
}

func (p *paper) Decommission(_ context.Context, sid string) error {
	if !slices.Contains(p.guests, sid) {
		return fmt.Errorf("%s is no guest", sid)
	}
	if p.guests = without(p.guests, sid); p.leader == sid {
		p.led = append(p.led, sid)
	}
	if p.voters = without(p.voters, sid); p.taken {
		p.voters = without(p.voters, "v1")
	}
	if p.leader == sid {
		p.lead()
	}
	return nil
}

// suffers has a new paper cluster suffer a nemesis, with so many seeds.
func suffers(t *testing.T, name string, seeds uint64, change func(*paper)) (seen []string, errs []error, papers []*paper) {
	t.Helper()
	return suffersAs(t, name, seeds, func(p *paper) Cluster {
		change(p)
		return p
	})
}

// suffersAs has what is made of the paper cluster suffer.
func suffersAs(t *testing.T, name string, seeds uint64, as func(*paper) Cluster) (seen []string, errs []error, papers []*paper) {
	t.Helper()
	named, err := Named(name)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			p := &paper{term: 1, leader: "v1", voters: []string{"v1", "v2", "v3"}}
			p.s = NewScene(as(p), rand.New(rand.NewPCG(seed, 0)))
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			what, err := named[0].Hurt(ctx, p.s)
			seen, errs, papers = append(seen, what), append(errs, err), append(papers, p)
		})
	}
	return seen, errs, papers
}

// Guests count while they are there, and may lead; whatever happens to them, they leave.
func TestVotersJoin_VoteLeadAndLeave(t *testing.T) {
	led := 0
	_, errs, papers := suffers(t, "voters-join", 20, func(*paper) {})
	for i, p := range papers {
		if errs[i] != nil || p.had != 3 || len(p.guests) > 0 || len(p.voters) != 3 || p.s.majority() != 2 {
			t.Errorf("seed %d: %v; a majority was %d, voters are %v, guests %v, a majority is %d", i, errs[i], p.had, p.voters, p.guests, p.s.majority())
		}
		led += len(p.led)
	}
	if led < 5 {
		t.Errorf("a guest led %d times in %d runs when it was to leave", led, len(papers))
	}
}

func TestVotersJoin_FindsWhatIsWrong(t *testing.T) {
	for want, change := range map[string]func(*paper){
		"guests to vote": func(p *paper) { p.dull = true },
		"nobody else":    func(p *paper) { p.taken = true },
	} {
		_, errs, papers := suffers(t, "voters-join", 3, change)
		for i, err := range errs {
			if err == nil || errors.Is(err, ErrUnseen) || !strings.Contains(err.Error(), want) || len(papers[i].guests) > 0 {
				t.Errorf("seed %d: got %v, want one about %q; guests that stayed: %v", i, err, want, papers[i].guests)
			}
		}
	}
}

func TestJoinAndLeave_DoesNotVote(t *testing.T) {
	seen, errs, papers := suffers(t, "join-and-leave", 10, func(*paper) {})
	for i, p := range papers {
		if errs[i] != nil || p.had != 2 || len(p.guests) > 0 || !strings.Contains(seen[i], "guest-") {
			t.Errorf("seed %d: %v; a majority was %d, guests are %v; seen: %s", i, errs[i], p.had, p.guests, seen[i])
		}
	}
}
