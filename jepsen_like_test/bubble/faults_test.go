package bubble_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// fault hurts the cluster and makes it whole again.
type fault func(ctx context.Context, r *run, rnd *rand.Rand)

// faults are all of them, by what they hurt; a run goes through one or two of each
// row, in an order of its own.
var faults = []struct {
	each int
	of   []fault
}{
	{2, []fault{killed("f1"), killed("f2"), killed("f3")}},
	{1, []fault{leaderKilled, leaderMoved}},
	// Shorter than reapAfter: the same life goes on. Longer: it ends, and its members are resumed.
	{1, []fault{away(4*time.Second, "f1"), away(12*time.Second, "f2"), away(3*time.Second, "p1"), killed("p2")}},
	{1, []fault{oneWay(5*time.Second, "p1", "f1"), oneWay(5*time.Second, "f3", "f2"), oneWay(5*time.Second, "v1", "f3")}},
	// Until both ends give the connection up, with answers on the way.
	{1, []fault{oneWay(22*time.Second, "f2", "p1"), oneWay(22*time.Second, "f1", "v1"), oneWay(22*time.Second, "f2", "f3")}},
	{1, []fault{behind("f1"), behind("f3")}},
}

func chosen(rnd *rand.Rand) (list []fault) {
	for _, row := range faults {
		for _, i := range rnd.Perm(len(row.of))[:row.each] {
			list = append(list, row.of[i])
		}
	}
	rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

func killed(sid string) fault {
	return func(ctx context.Context, r *run, rnd *rand.Rand) {
		r.kill(sid)
		pause(ctx, between(rnd, 100*time.Millisecond, 3*time.Second))
		r.restart(sid)
	}
}

func away(d time.Duration, sid string) fault {
	return func(ctx context.Context, r *run, rnd *rand.Rand) {
		r.fault(sid, "isolated")
		r.fleet.Isolate(sid)
		pause(ctx, between(rnd, d/2, d))
	}
}

// oneWay loses pushes, or the answers to them.
func oneWay(d time.Duration, from, to string) fault {
	return func(ctx context.Context, r *run, rnd *rand.Rand) {
		r.fault(from, "cannot send to "+to)
		r.fleet.Cut(from, to)
		pause(ctx, between(rnd, d*3/4, d))
	}
}

// behind: the frontend's replica stands still, pushes arrive.
func behind(sid string) fault {
	return func(ctx context.Context, r *run, rnd *rand.Rand) {
		r.fault(sid, "cut off from the voters")
		for _, voter := range voters {
			r.fleet.Cut(voter, sid)
			r.fleet.Cut(sid, voter)
		}
		pause(ctx, between(rnd, time.Second, 4*time.Second))
	}
}

func leaderKilled(ctx context.Context, r *run, rnd *rand.Rand) {
	sid := r.fleet.Leader(ctx).Self().SID
	r.kill(sid)
	pause(ctx, between(rnd, time.Second, 6*time.Second))
	r.restart(sid)
}

func leaderMoved(ctx context.Context, r *run, rnd *rand.Rand) {
	old := r.fleet.Leader(ctx)
	r.fault(old.Self().SID, "gives leadership away")
	if _, err := old.TransferLeader(ctx, ""); err != nil {
		r.fault(old.Self().SID, fmt.Sprint("leads on: ", err))
		leaderKilled(ctx, r, rnd)
	}
}

func between(rnd *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rnd.Int64N(int64(most-least)))
}

// hurt goes through the faults of this run while the workers work.
func (r *run) hurt(ctx context.Context, rnd *rand.Rand) {
	r.seeLeader(ctx)
	pause(ctx, 2*time.Second)
	for _, f := range chosen(rnd) {
		f(ctx, r, rnd)
		r.fault("", "healed")
		r.fleet.Heal()
		pause(ctx, between(rnd, time.Second, 2*time.Second))
		r.seeLeader(ctx)
	}
}

func (r *run) seeLeader(ctx context.Context) {
	r.leaders[r.fleet.Leader(ctx).Status().Term] = true
}

func (r *run) kill(sid string) {
	r.fault(sid, "killed")
	r.fleet.Kill(sid)
	r.servers[sid].died()
}

func (r *run) restart(sid string) {
	s := r.servers[sid]
	p, cfg := s.begin(r.seed)
	if cfg.OnPush == nil {
		s.runs(p, r.fleet.Restart(sid))
		return
	}
	s.runs(p, r.fleet.RestartWith(sid, cfg))
}

func (r *run) fault(via, text string) {
	r.history.Note(history.Event{F: history.Fault, Via: via, Text: text})
}
