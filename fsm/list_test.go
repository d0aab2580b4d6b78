package fsm_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// Of what has become of the players since it was asked for, a long list shows nothing.
func TestList_IsOfItsIndexWhateverComesAfter(t *testing.T) {
	const crowd = 500
	everyone := func(kind fsmpb.OpKind, generation int, sid string, epoch uint64) (ops []*fsmpb.Op) {
		for i := range crowd {
			ops = append(ops, &fsmpb.Op{Kind: kind, Name: "x", Uid: fmt.Sprintf("u%d.%d", i, generation), Sid: sid, Epoch: epoch})
		}
		return ops
	}
	others := func(w *world) { w.do("a", everyone(fsmpb.OpKind_OP_ADD, 2, "a", w.epoch("a"))...) }
	for name, after := range map[string]func(w *world){
		"nothing":         func(*world) {},
		"others instead":  func(w *world) { w.do("a", everyone(fsmpb.OpKind_OP_LEAVE, 1, "a", w.epoch("a"))...); others(w) },
		"destroyed":       func(w *world) { w.do("a", opDestroy("x")); w.do("a"); others(w) },
		"all destroyed":   func(w *world) { w.do("a", &fsmpb.Op{Kind: fsmpb.OpKind_OP_DESTROY_ALL}); others(w) },
		"server down":     func(w *world) { w.apply(entryDown("a", w.epoch("a"))) },
		"server replaced": func(w *world) { w.apply(entryDown("a", w.epoch("a"))); w.up(upOf("a", "other")); others(w) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "a", "b")
			w.do("a", everyone(fsmpb.OpKind_OP_ADD, 1, "a", w.epoch("a"))...)
			w.do("b", opAdd("x", "u7.1", "b", w.epoch("b")), opAdd("y", "u7.1", "a", w.epoch("a")))
			bySID, byType, on, all := w.s.MembersBySID("x", "a"), w.s.MembersByType("x", "connector"), w.s.PlayersOn("a"), w.s.Members("x")
			targets := w.s.Targets("x", "connector", nil)
			after(w)
			targets[0].Read()
			var members []string
			for _, m := range all.Members() {
				if m.SID == "a" {
					members = append(members, m.UID)
				}
			}
			var want []string
			for _, o := range everyone(fsmpb.OpKind_OP_ADD, 1, "a", 0) {
				want = append(want, o.GetUid())
			}
			slices.Sort(want)
			for list, uids := range map[string][]string{
				"by sid": bySID.UIDs(), "by type": byType.UIDs(), "on the server": on.UIDs(), "members": members, "target": targets[0].UIDs, "again": bySID.UIDs(),
			} {
				if !slices.Equal(sorted(uids), want) {
					t.Errorf("%s: %d uids: %.60q; want the %d that there were", list, len(uids), uids, crowd)
				}
			}
			if fsm.Pinned(w.s) {
				t.Error("ids are pinned after all lists were read")
			}
			w.do("b") // entries sweep
			if err := fsm.CheckIndexes(w.s); err != nil {
				t.Error(err)
			}
		})
	}
}

// Lists are read while players go for good, and others get what was theirs.
func TestList_IsReadBesideEntries(t *testing.T) {
	const crowd, generations = 300, 60
	uid := func(i, generation int) string { return fmt.Sprintf("%d.%d", i, generation) }
	logs := []*raft.Log{logOf(t, 1, entryFound("c", nil)), logOf(t, 2, entryUp(upOf("a", "i")))}
	for n := 1; n <= generations; n++ {
		g := &fsmpb.Group{Seen: 1}
		for i := range crowd {
			g.Ops = append(g.Ops, opLeave("x", uid(i, n-1), "a", gen(2)), opAdd("x", uid(i, n), "a", gen(2)))
		}
		logs = append(logs, logOf(t, uint64(n+2), entryBatches(&fsmpb.Batch{OriginSid: "a", OriginEpoch: gen(2), Number: uint64(n), Groups: []*fsmpb.Group{g}})))
	}
	r := fsm.NewReplica()
	replay(t, r, logs[:3])
	var done atomic.Bool
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for !done.Load() {
				var list fsm.List
				var generation int
				r.View(func(s *fsm.State) { list, generation = s.MembersBySID("x", "a"), int(s.Index())-2 })
				uids := list.UIDs()
				if len(uids) != crowd || slices.ContainsFunc(uids, func(u string) bool { return !strings.HasSuffix(u, fmt.Sprint(".", generation)) }) {
					t.Errorf("generation %d: %d uids: %.60q", generation, len(uids), uids)
				}
			}
		})
	}
	for _, l := range logs[3:] {
		replay(t, r, []*raft.Log{l})
		runtime.Gosched()
	}
	done.Store(true)
	readers.Wait()
}
