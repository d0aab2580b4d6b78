package node_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/node"
)

// audible is three frontends that note who got the newest push.
type audible struct {
	mu  sync.Mutex
	got map[string][]string // uids by sid; "everybody" for those that are not listed
	who func(d *node.Delivery) []string
}

func (c *audible) handler(sid string) node.PushHandler {
	return func(_ context.Context, d *node.Delivery) ([]string, error) {
		uids := slices.Sorted(d.UIDs())
		if c.who != nil {
			uids = c.who(d)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.got[sid] = append(c.got[sid], uids...)
		return nil, nil
	}
}

func (c *audible) take() map[string][]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := c.got
	c.got = make(map[string][]string)
	return got
}

func (c *audible) configs() []node.Config {
	c.got = make(map[string][]string)
	cfgs := append(three(), server("chat", "chat"))
	cfgs[3].NonVoter = true
	for i := range 3 {
		cfgs[i].OnPush = c.handler(cfgs[i].SID)
	}
	return cfgs
}

func TestPush_ReachesItsAudienceAndNobodyElse(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		var c audible
		f := readyCluster(t, ctx, c.configs()...)
		n := f.Node("chat")
		for name, members := range map[string][]string{
			"guild:1": {"alice@c1", "bob@c2", "carol@c1", "dave@c3"},
			"guild:2": {"alice@c1", "bob@c1", "erin@c3"},
			"muted":   {"bob@c3", "erin@c3"},
			"chats":   {"alice@chat"},
		} {
			for _, m := range members {
				uid, sid := m[:len(m)-3], m[len(m)-2:]
				if sid == "at" {
					uid, sid = "alice", "chat"
				}
				must(t, n.Add(ctx, name, uid, sid))
			}
		}
		f.WaitEqual(ctx)
		many := make([]string, 300) // more than are sent as they are
		for i := range many {
			many[i] = fmt.Sprint("nobody-", i)
		}
		many = append(many, "carol")
		for what, a := range map[string]node.Audience{
			"one channel":          node.Channel("guild:1"),
			"two channels":         node.Channel("guild:1", "guild:2", "no-such"),
			"no channel":           node.Channel(),
			"without the muted":    node.Channel("guild:1", "guild:2").Except(node.Channel("muted")),
			"in both":              node.Channel("guild:1").And(node.Channel("guild:2")),
			"players":              node.UIDs("alice", "erin", "nobody"),
			"players of a channel": node.UIDs("alice", "erin").And(node.Channel("guild:2")),
			"without a player":     node.Channel("guild:1").Except(node.UIDs("carol")),
			"without many":         node.Channel("guild:1").Except(node.UIDs(many...)),
			"nested":               node.Channel("guild:1", "guild:2").Except(node.Channel("muted").Except(node.UIDs("bob"))).And(node.UIDs("bob", "dave", "erin")),
		} {
			want := make(map[string]map[string]bool)
			members := 0
			seq, err := n.Select(ctx, a)
			must(t, err)
			for m := range seq {
				if m.SID == "chat" {
					continue // of another type
				}
				if want[m.SID] == nil {
					want[m.SID] = make(map[string]bool)
				}
				want[m.SID][m.UID] = true
				members++
			}
			for _, from := range []string{"chat", "c1"} {
				r, err := f.Node(from).Push(ctx, node.Push{SType: "connector", Route: "r", To: a})
				must(t, err)
				got := c.take()
				if !r.OK() || r.Members != members || len(r.Servers) != len(want) {
					t.Errorf("%s: %+v", what, r)
				}
				expected := make(map[string][]string)
				for sid, uids := range want {
					expected[sid] = slices.Sorted(maps.Keys(uids))
				}
				if diff := cmp.Diff(expected, got); diff != "" {
					t.Errorf("%s from %s: %s", what, from, diff)
				}
			}
		}
	})
}

func TestPush_EverybodyIsAllSessions(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		sessions := []string{"alice", "bob", "zoe"} // on every frontend; zoe is in no channel
		c := audible{who: func(d *node.Delivery) (uids []string) {
			if !d.Everybody || d.Len() != 0 {
				return []string{"not for everybody"}
			}
			for _, uid := range sessions {
				if d.Includes(uid) {
					uids = append(uids, uid)
				}
			}
			return uids
		}}
		f := readyCluster(t, ctx, c.configs()...)
		n := f.Node("chat")
		must(t, n.Add(ctx, "muted", "bob", "c1"))
		for what, of := range map[string]struct {
			to   node.Audience
			want []string
		}{
			"all":               {node.Everybody(), sessions},
			"without the muted": {node.Everybody().Except(node.Channel("muted")), []string{"alice", "zoe"}},
			"some":              {node.Everybody().And(node.UIDs("zoe", "erin")), []string{"zoe"}},
		} {
			r, err := n.Push(ctx, node.Push{SType: "connector", Route: "r", To: of.to})
			must(t, err)
			if !r.OK() || len(r.Servers) != 3 {
				t.Errorf("%s: %+v", what, r)
			}
			if diff := cmp.Diff(map[string][]string{"c1": of.want, "c2": of.want, "c3": of.want}, c.take()); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
		}
	})
}

func TestPush_RefusesAnAudienceThatMeansNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, server("c1", "connector"))
		for _, a := range []node.Audience{{}, node.Channel(""), node.UIDs("a\x00"), node.Channel("x").Except(node.Everybody())} {
			_, err := f.Node("c1").Push(ctx, node.Push{SType: "connector", Route: "r", To: a})
			wantError(t, err, node.ErrInvalidArgument)
		}
		_, err := f.Node("c1").Push(ctx, node.Push{SType: "connector", Route: "r", To: node.Channel("x"), PushOptions: node.PushOptions{Priority: 2}})
		wantError(t, err, node.ErrInvalidArgument)
	})
}

func TestPush_SystemOvertakesChat(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		for _, from := range []string{"c4", "c5"} { // here, and over the wire
			var got receiving
			release := make(chan struct{})
			cfgs := six(&got)
			cfgs[3].OnPush = func(ctx context.Context, d *node.Delivery) ([]string, error) {
				<-release
				return got.handle(ctx, d)
			}
			f := readyCluster(t, ctx, cfgs...)
			n := f.Node(from)
			must(t, n.Add(ctx, "world", "alice", "c4"))
			var wg sync.WaitGroup
			for _, msg := range []string{"first", "chat 1", "chat 2", "system 1", "system 2"} {
				o := node.PushOptions{Timeout: time.Minute}
				if msg[:1] == "s" {
					o.Priority = node.PrioritySystem
				}
				wg.Go(func() {
					if _, err := n.PushMessage(ctx, "connector", "r", []byte(msg), "world", o); err != nil {
						t.Error(err)
					}
				})
				pause(ctx, time.Second)
				synctest.Wait()
			}
			close(release)
			wg.Wait()
			var order []string
			for _, r := range got.receipts() {
				order = append(order, r.msg)
			}
			if diff := cmp.Diff([]string{"first", "system 1", "system 2", "chat 1", "chat 2"}, order); diff != "" {
				t.Error(from, diff)
			}
			for _, n := range f.Nodes() {
				must(t, n.Close())
			}
		}
	})
}
