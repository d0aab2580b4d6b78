package node_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/node"
)

// receiving is a frontend that notes who got what.
type receiving struct {
	mu   sync.Mutex
	list []receipt
}

type receipt struct {
	msg  string
	uids []string
}

func (r *receiving) handle(_ context.Context, d *node.Delivery) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, receipt{string(d.Msg), slices.Sorted(d.UIDs())})
	return nil, nil
}

func (r *receiving) receipts() []receipt {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// last is who got the newest push.
func (r *receiving) last() []string {
	if list := r.receipts(); len(list) > 0 {
		return list[len(list)-1].uids
	}
	return nil
}

// six is three founders and three more servers: c4 is a frontend, c5 and c6 push.
func six(r *receiving) []node.Config {
	cfgs := append(four(), node.Config{SID: "c5", SType: "chat", NonVoter: true}, node.Config{SID: "c6", SType: "chat", NonVoter: true})
	cfgs[3].OnPush = r.handle
	return cfgs
}

func cutFromVoters(f interface{ Cut(from, to string) }, sids ...string) {
	for _, sid := range sids {
		for _, voter := range []string{"c1", "c2", "c3"} {
			f.Cut(voter, sid)
			f.Cut(sid, voter)
		}
	}
}

func TestPush_ReachesThoseWhomTheFrontendDoesNotKnowYet(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		var got receiving
		f := readyCluster(t, ctx, six(&got)...)
		n := f.Node("c5")
		for _, uid := range []string{"alice", "bob", "carol"} {
			must(t, n.Add(ctx, "world", uid, "c4"))
		}
		must(t, n.Add(ctx, "quiet", "zoe", "c4"))
		f.WaitEqual(ctx)
		cutFromVoters(f, "c4")
		must(t, n.Leave(ctx, "world", "bob", "c4"))
		must(t, n.Add(ctx, "world", "dave", "c4"))
		for _, options := range []node.PushOptions{{}, {CountsOnly: true}} {
			r, err := n.PushMessage(ctx, "connector", "r", []byte("behind"), "world", options)
			must(t, err)
			if !r.OK() || r.Members != 3 || r.Servers[0].Latency < 100*time.Millisecond {
				t.Errorf("%+v", r)
			}
			if diff := cmp.Diff([]string{"alice", "carol", "dave"}, got.last()); diff != "" {
				t.Error(diff)
			}
		}
		// What changed elsewhere costs a channel nothing.
		r, err := n.PushMessage(ctx, "connector", "r", []byte("not behind"), "quiet", node.PushOptions{})
		must(t, err)
		if !r.OK() || r.Servers[0].Latency > 50*time.Millisecond {
			t.Errorf("%+v", r)
		}
	})
}

func TestPush_GoesOnWithoutALeader(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		var got receiving
		f := readyCluster(t, ctx, six(&got)...)
		n := f.Node("c5")
		must(t, n.Add(ctx, "world", "alice", "c4"))
		f.WaitEqual(ctx)
		f.Kill("c1", "c2", "c3")
		for i := range 3 {
			r, err := n.PushMessage(ctx, "connector", "r", []byte(fmt.Sprint(i)), "world", node.PushOptions{})
			if err != nil || !r.OK() {
				t.Errorf("%v %+v", err, r)
			}
		}
		if list := got.receipts(); len(list) != 3 {
			t.Errorf("%v", list)
		}
	})
}

// P8: whoever this process added, and nobody removed, gets it, and whoever it removed
// does not, while other processes change the same channel.
func TestPush_ReachesExactlyThoseWhomItsProcessKnows(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		var got receiving
		f := readyCluster(t, ctx, six(&got)...)
		n, other := f.Node("c5"), f.Node("c6")
		churn, stop := context.WithCancel(ctx)
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := 0; churn.Err() == nil; i++ {
				uid := fmt.Sprint("other-", i%20)
				if i/20%2 == 0 {
					_ = other.Add(churn, "world", uid, "c4")
				} else {
					_ = other.Leave(churn, "world", uid, "c4")
				}
				pause(churn, time.Duration(i%7)*time.Millisecond)
			}
		})
		random := rand.New(rand.NewPCG(1, 2))
		mine := make(map[string]bool)
		for i := range 300 {
			uid := fmt.Sprint("mine-", random.IntN(12))
			switch {
			case random.IntN(100) == 0:
				must(t, n.DestroyChannel(ctx, "world"))
				clear(mine)
			case mine[uid]:
				must(t, n.Leave(ctx, "world", uid, "c4"))
				delete(mine, uid)
			default:
				must(t, n.Add(ctx, "world", uid, "c4"))
				mine[uid] = true
			}
			before := len(got.receipts())
			r, err := n.PushMessage(ctx, "connector", "r", []byte(fmt.Sprint(i)), "world", node.PushOptions{})
			must(t, err)
			if !r.OK() {
				t.Fatalf("%+v", r)
			}
			list := got.receipts()
			if len(list) == before {
				if len(mine) > 0 {
					t.Fatalf("push %d reached nobody", i)
				}
				continue
			}
			last := list[len(list)-1]
			reached := slices.DeleteFunc(slices.Clone(last.uids), func(uid string) bool { return strings.HasPrefix(uid, "other") })
			if want := slices.Sorted(maps.Keys(mine)); last.msg != fmt.Sprint(i) || !slices.Equal(reached, want) && len(reached)+len(want) > 0 {
				t.Fatalf("push %d: %+v, want %v", i, last, want)
			}
		}
		stop()
		wg.Wait()
	})
}

func TestPush_OncePerFrontendAndInOrderWhileTheNetworkFlaps(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		var got receiving
		f := readyCluster(t, ctx, six(&got)...)
		must(t, f.Node("c5").Add(ctx, "world", "alice", "c4"))
		f.WaitEqual(ctx)
		flapping, stop := context.WithCancel(ctx)
		var wg, pushers sync.WaitGroup
		wg.Go(func() {
			random := rand.New(rand.NewPCG(3, 4))
			for flapping.Err() == nil {
				from, to := "c5", "c4"
				if random.IntN(2) == 0 {
					from, to = to, from // one way: then the answers are lost
				}
				f.Cut(from, to)
				pause(flapping, time.Duration(random.IntN(20_000))*time.Millisecond) // keepalive finds it after 15 s
				f.Heal()
				pause(flapping, time.Duration(random.IntN(3000))*time.Millisecond)
			}
		})
		var mu sync.Mutex
		answers := make(map[string]node.Outcome)
		for caller := range 3 {
			pushers.Go(func() {
				for i := range 60 {
					msg := fmt.Sprintf("%d/%03d", caller, i)
					r, err := f.Node("c5").PushMessage(ctx, "connector", "r", []byte(msg), "world", node.PushOptions{Timeout: time.Duration(1+i%20) * time.Second})
					if err != nil && !errors.Is(err, node.ErrPushFailed) {
						t.Error(err)
						return
					}
					mu.Lock()
					answers[msg] = r.Servers[0].Outcome
					mu.Unlock()
					pause(ctx, 300*time.Millisecond)
				}
			})
		}
		pushers.Wait()
		stop()
		wg.Wait()
		settle(ctx)
		times, newest := make(map[string]int), make(map[string]string)
		for _, r := range got.receipts() {
			times[r.msg]++
			caller, _, _ := strings.Cut(r.msg, "/")
			if r.msg <= newest[caller] {
				t.Errorf("%s after %s", r.msg, newest[caller])
			}
			newest[caller] = r.msg
		}
		outcomes := make(map[node.Outcome]int)
		for msg, o := range answers {
			outcomes[o]++
			if n := times[msg]; n > 1 || o == node.Delivered && n != 1 || o == node.NotDelivered && n != 0 {
				t.Errorf("%s is %v, and was handled %d times", msg, o, n)
			}
		}
		if outcomes[node.Delivered] < 20 || outcomes[node.Delivered] == len(answers) {
			t.Errorf("the network did not flap, or did nothing else: %v", outcomes)
		}
	})
}
