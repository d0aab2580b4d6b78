package node_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pofresh/globalchannel/node"
)

// online is a host's list of sessions.
type online struct {
	mu    sync.Mutex
	uids  map[string]bool
	asked func(uid string) // called with no lock held
}

func (o *online) set(uid string, there bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.uids[uid] = there
}

func (o *online) is(uid string) bool {
	o.mu.Lock()
	asked := o.asked
	o.mu.Unlock()
	if asked != nil {
		asked(uid)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.uids[uid]
}

func hosting(o *online) []node.Config {
	cfgs := four()
	cfgs[3].Online = o.is
	return cfgs
}

// P7: where Online is set, no member of a live server outlives its session by more
// than 60 s.
func TestOnline_MembersWithoutASessionAreRemoved(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		o := &online{uids: map[string]bool{"here": true}}
		f := readyCluster(t, ctx, hosting(o)...)
		c1 := f.Node("c1")
		var want []string
		gone := make([]string, 1200) // more than are removed at a time
		for i := range gone {
			gone[i] = fmt.Sprint("gone-", i)
		}
		for uids := range slices.Chunk(gone, 400) {
			_, err := c1.Apply(ctx, node.AddOps("world", "c4", uids...)...)
			must(t, err)
		}
		must(t, c1.Add(ctx, "world", "here", "c4"))
		must(t, c1.Add(ctx, "world", "elsewhere", "c1")) // not for c4 to say
		want = append(want, "here@c4", "elsewhere@c1")
		start := time.Now()
		everywhere(t, ctx, f, "world", want...)
		if took := time.Since(start); took > time.Minute {
			t.Errorf("took %v", took)
		}
	})
}

// Who is added after the question was asked is not the one it was about.
func TestOnline_SparesWhoComesWhileTheQuestionIsAsked(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		o := &online{uids: map[string]bool{}}
		f := readyCluster(t, ctx, hosting(o)...)
		n, c1 := f.Node("c4"), f.Node("c1")
		must(t, c1.Add(ctx, "world", "alice", "c4")) // a ghost
		asked := make(chan struct{})
		var once sync.Once
		o.mu.Lock()
		o.asked = func(string) {
			once.Do(func() {
				// She comes back between the look and the answer, which is still the old one.
				must(t, c1.Add(ctx, "world", "alice", "c4"))
				must(t, c1.Add(ctx, "guild", "alice", "c4"))
				close(asked)
			})
		}
		o.mu.Unlock()
		<-asked
		settle(ctx)
		o.set("alice", true)
		pause(ctx, 2*time.Minute)
		for _, name := range []string{"world", "guild"} {
			if got := members(t, ctx, n, name); len(got) != 1 {
				t.Errorf("%s holds %v, want her", name, got)
			}
		}
	})
}

func TestOnline_ThatPanicsRemovesNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfgs := four()
		calls := make(chan struct{}, 64)
		cfgs[3].Online = func(string) bool { calls <- struct{}{}; panic("host") }
		f := readyCluster(t, ctx, cfgs...)
		must(t, f.Node("c1").Add(ctx, "world", "alice", "c4"))
		<-calls
		<-calls // the next round asks again
		everywhere(t, ctx, f, "world", "alice@c4")
	})
}

// Whoever left while the life was over is found at once, not half a minute later.
func TestOnline_IsAskedAfterAResume(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		o := &online{uids: map[string]bool{"alice": true, "bob": true}}
		f := readyCluster(t, ctx, hosting(o)...)
		n := f.Node("c4")
		must(t, n.Add(ctx, "world", "alice", "c4"))
		must(t, n.Add(ctx, "world", "bob", "c4"))
		var healed time.Time
		asked := make(chan time.Time, 64)
		reaped(t, ctx, f, func() {
			o.set("alice", false)
			o.mu.Lock()
			o.asked = func(string) { asked <- time.Now() }
			o.mu.Unlock()
			healed = time.Now()
		})
		everywhere(t, ctx, f, "world", "bob@c4")
		if at := (<-asked).Sub(healed); at > 10*time.Second {
			t.Errorf("asked %v after the heal", at)
		}
	})
}

func TestNode_PurgeRemovesTheMembersOfAnExternalServer(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfgs := three()
		for i := range cfgs {
			cfgs[i].Cluster.ExternalSIDs = true
		}
		f := readyCluster(t, ctx, cfgs...)
		n := f.Node("c1")
		must(t, n.Add(ctx, "world", "alice", "outside"))
		must(t, n.Add(ctx, "world", "bob", "c2"))
		must(t, n.Purge(ctx, "outside"))
		must(t, n.Purge(ctx, "outside"))
		everywhere(t, ctx, f, "world", "bob@c2")
		wantError(t, n.Purge(ctx, "c2"), node.ErrInvalidArgument)
		wantError(t, n.Purge(ctx, ""), node.ErrInvalidArgument)
	})
}

// The host may hold a lock in Close that Online waits for.
func TestOnline_ThatDoesNotReturnDoesNotHoldUpClose(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		asked, release := make(chan struct{}, 100), make(chan struct{})
		o := &online{uids: map[string]bool{}, asked: func(string) { asked <- struct{}{}; <-release }}
		f := readyCluster(t, ctx, hosting(o)...)
		must(t, f.Node("c1").Add(ctx, "world", "alice", "c4"))
		<-asked
		start := time.Now()
		if err := f.Node("c4").Close(); err == nil {
			t.Error("Close does not say that Online runs on")
		}
		if took := time.Since(start); took > 11*time.Second {
			t.Errorf("Close took %v", took)
		}
		close(release)
		synctest.Wait()
	})
}
