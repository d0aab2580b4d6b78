package trial

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/nemesis"
)

const (
	faultTime  = 4 * time.Minute // the longest fault, with what is waited for in it
	mendTime   = 2 * time.Minute // after which a cluster whose faults are mended must be whole
	settleTime = time.Minute     // after which all replicas must be equal
	leastRest  = 2 * time.Second // between two faults
	mostRest   = 10 * time.Second
)

// trial is a run that goes on.
type trial struct {
	cluster Cluster
	history *history.Recorder
	scene   *nemesis.Scene
	load    Load
	result  *Result
}

// Run runs s on a cluster that was started, and leaves it as it is at the end. The
// error is that there is no verdict: the run could not be made. judge checks the
// history; it needs the cluster no more, and in simulated time it is called when that
// is over: the clock would stand while it thinks.
func Run(ctx context.Context, s Spec, c Cluster, h *history.Recorder) (judge func() *Result, err error) {
	if s.Workload == Sessions {
		s.Calm = max(s.Calm, apart)
	}
	load, err := Setup{Cluster: c, History: h, Spec: s}.load()
	if err != nil {
		return nil, err
	}
	return run(ctx, s, c, load, h)
}

func run(ctx context.Context, s Spec, c Cluster, load Load, h *history.Recorder) (judge func() *Result, err error) {
	nemeses, skipped, err := chosen(s, c)
	if err != nil {
		return nil, err
	}
	t := &trial{
		cluster: c, history: h, load: load, scene: nemesis.NewScene(c, rand.New(rand.NewPCG(s.Seed, 1))),
		result: &Result{Spec: s, Skipped: skipped, Faults: make(map[string]Fault)},
	}
	began := time.Now()
	if err := t.whole(ctx); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	h.Note(history.Event{F: history.Whole})
	t.hurt(ctx, nemeses)
	if len(t.result.Violations) == 0 {
		t.finish(ctx)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx) // what was seen since is no verdict
	}
	t.result.Lived = time.Since(began)
	t.result.Leaders, t.result.Terms = t.scene.Reigns()
	t.result.Times = t.scene.Times()
	return t.judge, nil
}

// chosen are the nemeses that the spec names, and the names of those that this cluster
// can't suffer.
func chosen(s Spec, c Cluster) (able []nemesis.Nemesis, skipped []string, err error) {
	named, err := nemesis.Named(s.Nemeses...)
	if err != nil {
		return nil, nil, err
	}
	seen := make(map[string]bool)
	for _, n := range named {
		switch {
		case seen[n.Name]:
		case n.Able(c):
			able = append(able, n)
		default:
			skipped = append(skipped, n.Name)
		}
		seen[n.Name] = true
	}
	if len(able) == 0 {
		return nil, nil, fmt.Errorf("this cluster can suffer none of %v", s.Nemeses)
	}
	return able, skipped, nil
}

// hurt works and hurts until the time is up.
func (t *trial) hurt(ctx context.Context, nemeses []nemesis.Nemesis) {
	work, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var watching sync.WaitGroup
		if o, ok := t.cluster.(Observer); ok {
			watching.Go(func() { o.Observe(work) })
		}
		t.load.Run(work)
		watching.Wait()
	}()
	defer func() {
		stop()
		<-ended
	}()
	spec, order := t.result.Spec, t.scene.Rand.Perm(len(nemeses))
	for began, i := time.Now(), 0; time.Since(began) < spec.Time; i++ {
		if err := t.scene.Lasts(ctx, spec.Rest(leastRest), spec.Rest(mostRest)); err != nil {
			return
		}
		if !t.suffer(ctx, nemeses[order[i%len(order)]]) {
			return // nothing that follows could be told from this
		}
	}
}

// suffer is one fault, from the first harm until all is well again. False: it is not.
func (t *trial) suffer(ctx context.Context, n nemesis.Nemesis) bool {
	t.history.Note(history.Event{F: history.Hurt, Text: n.Name})
	limited, cancel := context.WithTimeout(ctx, faultTime)
	seen, err := n.Hurt(limited, t.scene)
	cancel()
	t.history.Note(history.Event{F: history.Mended, Text: fmt.Sprintf("%s: %s", n.Name, seen)})
	if ctx.Err() != nil {
		return false
	}
	f := t.result.Faults[n.Name]
	switch {
	case err == nil:
		f.Seen++
	case errors.Is(err, nemesis.ErrUnseen):
		f.Unseen = append(f.Unseen, err.Error())
	default:
		t.violation("%s: %v", n.Name, err)
	}
	t.result.Faults[n.Name] = f
	mended := time.Now()
	if whole := t.whole(ctx); whole != nil {
		t.violation("not whole %v after %s was mended: %v (%v)", mendTime, n.Name, whole, err)
		return false
	}
	t.history.Note(history.Event{F: history.Whole})
	if n.Family == nemesis.OfNetworks {
		if late := t.scene.Took(nemesis.Healed, time.Since(mended)); late != nil {
			t.violation("%s: %v", n.Name, late)
		}
	}
	return err == nil || errors.Is(err, nemesis.ErrUnseen)
}

// whole waits until everybody is there and follows one leader, who shows the life that
// each of them takes for its own, and no other one.
func (t *trial) whole(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, mendTime)
	defer cancel()
	all := slices.Concat(t.cluster.Voters(), t.cluster.NonVoters())
	return harness.Await(ctx, "all to be whole", func(ctx context.Context) error {
		if err := t.cluster.Ready(ctx, all...); err != nil {
			return err
		}
		leader, err := t.scene.Lead(ctx, 0)
		if err != nil {
			return err
		}
		lives, err := t.cluster.Lives(ctx, leader.SID)
		if err != nil {
			return err
		}
		for _, sid := range all {
			st, err := t.cluster.Status(ctx, sid)
			if err != nil {
				return err
			}
			if lives[sid] != st.GetEpoch() {
				return fmt.Errorf("%s shows life %d of %s, which has %d itself", leader.SID, lives[sid], sid, st.GetEpoch())
			}
		}
		for sid := range lives {
			if !slices.Contains(all, sid) { // it has left
				return fmt.Errorf("%s shows life %d of %s, which is not there", leader.SID, lives[sid], sid)
			}
		}
		return nil
	})
}

// finish demands a write and equal replicas, and reads everything everywhere.
func (t *trial) finish(ctx context.Context) {
	err := t.whole(ctx) // which notes the lives that began since anybody looked
	if err == nil {
		err = t.cluster.Write(ctx, slices.Concat(t.cluster.Voters(), t.cluster.NonVoters())...)
	}
	index := uint64(0)
	if err == nil {
		index, err = t.settle(ctx)
	}
	if err == nil {
		err = t.load.ReadAll(ctx, index)
	}
	if err != nil {
		t.violation("after everything was mended: %v", err)
	}
}

// judge checks the history.
func (t *trial) judge() *Result {
	verdict, err := t.load.Check(t.history.Events())
	if err != nil {
		t.result.Invalid = append(t.result.Invalid, fmt.Sprintf("the history: %v", err))
		return t.result
	}
	t.result.Checked, t.result.Report = verdict.Checked, verdict.Report
	for _, v := range verdict.Violations {
		t.violation("%v", v)
	}
	t.result.page = verdict.Page
	if verdict.Idle != "" && len(t.result.Violations) == 0 {
		t.result.Invalid = append(t.result.Invalid, verdict.Idle)
	}
	t.result.validate(verdict.Writes)
	return t.result
}

// settle waits until all replicas have applied the same index.
func (t *trial) settle(ctx context.Context) (index uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	return index, harness.Await(ctx, "replicas at one index", func(ctx context.Context) error {
		statuses, err := t.cluster.Replicas(ctx)
		if err != nil {
			return err
		}
		index = statuses[0].GetApplied()
		for _, st := range statuses {
			if st.GetApplied() != index {
				return fmt.Errorf("%s has applied %d, %s %d", statuses[0].GetSid(), index, st.GetSid(), st.GetApplied())
			}
			if st.GetStateHash() == "" {
				return errors.New(st.GetSid() + " tells no state hash")
			}
		}
		return nil
	})
}

func (t *trial) violation(format string, args ...any) {
	t.result.Violations = append(t.result.Violations, fmt.Sprintf(format, args...))
}

// validate says what a run needs to count: each of the nemeses that had its turn was
// seen, and enough was acknowledged that the checker could judge.
func (r *Result) validate(writes int) {
	if len(r.Violations) > 0 {
		return // it counts, whatever was done
	}
	if r.Seen() == 0 {
		r.Invalid = append(r.Invalid, "no fault was seen")
	}
	for name, f := range r.Faults {
		if len(f.Unseen) > f.Seen {
			r.Invalid = append(r.Invalid, fmt.Sprintf("%s was seen %d times, and %d times it was not", name, f.Seen, len(f.Unseen)))
		}
	}
	if least := int(r.Spec.Time / max(r.Spec.Rest(2*time.Second), 2*time.Second)); writes < least {
		r.Invalid = append(r.Invalid, fmt.Sprintf("%d writes were acknowledged, fewer than %d", writes, least))
	}
}
