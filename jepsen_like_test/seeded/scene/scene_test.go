package scene

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
)

const (
	stype     = "connector"
	room      = "world"
	reapAfter = 4 * time.Second
	// outlived is a cut that costs a life.
	outlived = 4 * reapAfter
	// patience is for what must succeed.
	patience = 2 * time.Minute
	// haste is for what may fail: nobody answers.
	haste = 3 * time.Second
)

// scene is three voters, a witness w who is never hurt and on whom members are, and p,
// who does not vote either.
type scene struct {
	*nodetest.Fleet
	t       *testing.T
	ctx     context.Context
	history *history.Recorder
	lives   map[string]uint64 // the newest that was noted, by sid
}

var voters = []string{"v1", "v2", "v3"}

func play(t *testing.T, act func(s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		var cfgs []node.Config
		for _, sid := range append(slices.Clone(voters), "w", "p") {
			cfgs = append(cfgs, node.Config{
				SID: sid, SType: stype, NonVoter: !slices.Contains(voters, sid), Cluster: node.Settings{ReapAfter: reapAfter},
			})
		}
		s := &scene{Fleet: nodetest.Cluster(t, cfgs...), t: t, ctx: ctx, history: history.NewRecorder(), lives: make(map[string]uint64)}
		s.SetLatency(time.Millisecond)
		s.WaitReady(ctx)
		s.Eventually(ctx, func() error { // members of ended lives are parked from level 3 on
			for _, n := range s.Nodes() {
				if st := n.Status(); st.Level < 3 {
					return fmt.Errorf("%s is at level %d", st.SID, st.Level)
				}
			}
			return nil
		})
		s.WaitEqual(ctx)
		s.sees("w", 0)
		act(s)
	})
}

// sees notes the life of a sid, once it is another one than before.
func (s *scene) sees(sid string, before uint64) (epoch uint64) {
	s.t.Helper()
	s.Eventually(s.ctx, func() error {
		epoch = s.life(s.Node("w"), sid)
		if epoch == 0 || epoch == before {
			return fmt.Errorf("%s has life %d", sid, epoch)
		}
		return nil
	})
	if s.lives[sid] != epoch {
		s.lives[sid] = epoch
		s.history.Note(history.Event{F: history.Life, SID: sid, SType: stype, Epoch: epoch, Index: epoch & (1<<48 - 1)})
	}
	return epoch
}

// life is 0 where a node shows none.
func (s *scene) life(at *node.Node, sid string) uint64 {
	for _, srv := range at.Servers() {
		if srv.SID == sid {
			return srv.Epoch
		}
	}
	return 0
}

// over waits until a life has ended, as w shows it.
func (s *scene) over(sid string) {
	s.t.Helper()
	s.Eventually(s.ctx, func() error {
		if epoch := s.life(s.Node("w"), sid); epoch != 0 {
			return fmt.Errorf("%s has life %d", sid, epoch)
		}
		return nil
	})
}

// write is one operation on a member of the room.
func (s *scene) write(n *node.Node, within time.Duration, f history.F, uid, sid string) history.Type {
	ctx, cancel := context.WithTimeout(s.ctx, within)
	defer cancel()
	op := s.history.Invoke(history.Event{Worker: 1, Via: n.Self().SID, F: f, Channel: room, UID: uid, SID: sid})
	kinds := map[history.F]node.OpKind{history.Add: node.OpAdd, history.Leave: node.OpLeave}
	a, err := n.Apply(ctx, node.Op{Kind: kinds[f], Name: room, UID: uid, SID: sid})
	result := outcome(err)
	op.Done(result, func(e *history.Event) {
		e.Index = a.Index
		if err != nil {
			e.Text = err.Error()
		}
	})
	return result
}

func (s *scene) must(result history.Type) {
	s.t.Helper()
	if result != history.OK {
		s.t.Fatalf("a write was not acknowledged: %v", s.history.Events()[len(s.history.Events())-1])
	}
}

func outcome(err error) history.Type {
	switch {
	case err == nil:
		return history.OK
	case errors.Is(err, node.ErrRejected), errors.Is(err, node.ErrNotSent):
		return history.Fail
	}
	return history.Unknown
}

// read is a linearizable one of the room.
func (s *scene) read(n *node.Node, within time.Duration) (uids []string, result history.Type) {
	ctx, cancel := context.WithTimeout(s.ctx, within)
	defer cancel()
	op := s.history.Invoke(history.Event{Worker: 2, Via: n.Self().SID, F: history.Read, Channel: room, Linearizable: true})
	members, err := n.Members(ctx, room, node.Linearizable())
	if err != nil {
		op.Done(history.Fail, func(e *history.Event) { e.Text = err.Error() })
		return nil, history.Fail
	}
	var list []history.Member
	for m := range members {
		list = append(list, history.Member{UID: m.UID, SID: m.SID})
		uids = append(uids, m.UID)
	}
	op.Done(history.OK, func(e *history.Event) { e.Index, e.Members = n.Index(), list })
	return uids, history.OK
}

// shows waits until reads at a node show somebody, or show him no more.
func (s *scene) shows(n *node.Node, uid string, want bool) {
	s.t.Helper()
	s.Eventually(s.ctx, func() error {
		if uids, _ := s.read(n, haste); slices.Contains(uids, uid) != want {
			return fmt.Errorf("%s shows %v", n.Self().SID, uids)
		}
		return nil
	})
}

// fill makes the log so long that everybody takes snapshots, and waits for that.
func (s *scene) fill() {
	s.t.Helper()
	for i := range 40 {
		if err := s.Node("w").Add(s.ctx, "filler", fmt.Sprint(i), "w"); err != nil {
			s.t.Fatal(err)
		}
	}
	s.pass(5 * time.Second)
}

// pass lets simulated time pass.
func (s *scene) pass(d time.Duration) {
	s.t.Helper()
	select {
	case <-time.After(d):
	case <-s.ctx.Done():
		s.t.Fatal(s.ctx.Err())
	}
}

// follower is a voter that does not lead.
func (s *scene) follower() string {
	leader := s.Leader(s.ctx).Self().SID
	return voters[slices.IndexFunc(voters, func(sid string) bool { return sid != leader })]
}

// linear is the verdict on members whose servers have one life.
func (s *scene) linear() {
	s.t.Helper()
	r, err := checker.CheckLinear(s.history.Events(), time.Minute)
	if err != nil {
		s.t.Fatal(err)
	}
	s.judge(r, r.Violations)
}

// set is the verdict on members whose servers' lives end.
func (s *scene) set() {
	s.t.Helper()
	r, err := checker.Check(s.history.Events())
	if err != nil {
		s.t.Fatal(err)
	}
	s.judge(r, r.Violations)
}

func (s *scene) judge(report fmt.Stringer, violations []checker.Violation) {
	s.t.Helper()
	s.t.Log(report)
	if len(violations) == 0 {
		return
	}
	var text strings.Builder
	if err := history.WriteTo(&text, s.history.Events()); err != nil {
		s.t.Error(err)
	}
	s.t.Log("history:\n" + text.String())
	s.t.Errorf("%d violations, the first: %v", len(violations), violations[0])
}
