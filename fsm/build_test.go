package fsm_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// gen is the epoch of index i in the clusters of these tests.
func gen(i uint64) uint64 { return 1<<48 | i }

func entryFound(id string, s *fsmpb.Settings) *fsmpb.Entry {
	return entry(&fsmpb.Entry{Command: &fsmpb.Entry_Found{Found: &fsmpb.Found{ClusterId: id, Generation: 1, Settings: s}}})
}

func entryUp(up *fsmpb.ServerUp) *fsmpb.Entry {
	return entry(&fsmpb.Entry{Command: &fsmpb.Entry_ServerUp{ServerUp: up}})
}

func entryDown(sid string, epoch uint64) *fsmpb.Entry {
	return entry(&fsmpb.Entry{Command: &fsmpb.Entry_ServerDown{ServerDown: &fsmpb.ServerDown{Sid: sid, Epoch: epoch}}})
}

func entryDetach(sid string, epoch, viaEpoch uint64) *fsmpb.Entry {
	return entry(&fsmpb.Entry{Command: &fsmpb.Entry_ServerDown{ServerDown: &fsmpb.ServerDown{Sid: sid, Epoch: epoch, ViaEpoch: viaEpoch}}})
}

func entryBatches(b ...*fsmpb.Batch) *fsmpb.Entry {
	return entry(&fsmpb.Entry{Command: &fsmpb.Entry_Batches{Batches: &fsmpb.Batches{Batches: b}}})
}

func entryForget(index uint64) *fsmpb.Entry {
	return entry(&fsmpb.Entry{Command: &fsmpb.Entry_Forget{Forget: &fsmpb.Forget{Index: index}}})
}

func entryRaise(level uint32) *fsmpb.Entry {
	return entry(&fsmpb.Entry{Command: &fsmpb.Entry_RaiseLevel{RaiseLevel: &fsmpb.RaiseLevel{Level: level}}})
}

func entrySettings(id string, seen uint64, s *fsmpb.Settings) *fsmpb.Entry {
	return entry(&fsmpb.Entry{Command: &fsmpb.Entry_SetSettings{SetSettings: &fsmpb.SetSettings{Id: id, Seen: seen, Settings: s}}})
}

func entryCheckpoint() *fsmpb.Entry {
	return entry(&fsmpb.Entry{Command: &fsmpb.Entry_Checkpoint{Checkpoint: &fsmpb.Checkpoint{}}})
}

// resuming takes the parked members along, but for these removals.
func resuming(up *fsmpb.ServerUp, epoch uint64, r ...*fsmpb.Removals) *fsmpb.ServerUp {
	up.Resume = &fsmpb.Resume{Epoch: epoch, Removals: r}
	return up
}

func removals(number uint64, ops ...*fsmpb.Op) *fsmpb.Removals {
	return &fsmpb.Removals{Number: number, Ops: ops}
}

func entry(e *fsmpb.Entry) *fsmpb.Entry {
	e.Version = fsm.Version
	return e
}

// batch has each operation in a group of its own.
func batch(sid string, epoch, number uint64, ops ...*fsmpb.Op) *fsmpb.Batch {
	b := &fsmpb.Batch{OriginSid: sid, OriginEpoch: epoch, Number: number}
	for _, op := range ops {
		b.Groups = append(b.Groups, &fsmpb.Group{Ops: []*fsmpb.Op{op}})
	}
	return b
}

func grouped(sid string, epoch, number uint64, ops ...*fsmpb.Op) *fsmpb.Batch {
	return &fsmpb.Batch{OriginSid: sid, OriginEpoch: epoch, Number: number, Groups: []*fsmpb.Group{{Ops: ops}}}
}

func opAdd(name, uid, sid string, epoch uint64) *fsmpb.Op {
	return &fsmpb.Op{Kind: fsmpb.OpKind_OP_ADD, Name: name, Uid: uid, Sid: sid, Epoch: epoch}
}

func opLeave(name, uid, sid string, epoch uint64) *fsmpb.Op {
	return &fsmpb.Op{Kind: fsmpb.OpKind_OP_LEAVE, Name: name, Uid: uid, Sid: sid, Epoch: epoch}
}

func opLeaveAll(uid, sid string, epoch uint64) *fsmpb.Op {
	return &fsmpb.Op{Kind: fsmpb.OpKind_OP_LEAVE_ALL, Uid: uid, Sid: sid, Epoch: epoch}
}

func opDestroy(name string) *fsmpb.Op { return &fsmpb.Op{Kind: fsmpb.OpKind_OP_DESTROY, Name: name} }

func opKind(k fsmpb.OpKind) *fsmpb.Op { return &fsmpb.Op{Kind: k} }

func session(op *fsmpb.Op, n uint64) *fsmpb.Op {
	op.Session = n
	return op
}

func upOf(sid, incarnation string) *fsmpb.ServerUp {
	return &fsmpb.ServerUp{
		Sid: sid, Stype: "connector", NodeId: "node-" + sid, Incarnation: incarnation,
		Addr: sid + ":1", Seen: 1 << 40,
	}
}

func attachedOf(sid, incarnation, via string, viaEpoch uint64) *fsmpb.ServerUp {
	up := upOf(sid, incarnation)
	up.Via, up.ViaEpoch, up.NodeId = via, viaEpoch, "node-"+via
	return up
}

// world is a state with the index that comes next, and the batch numbers of
// each life, so that a test names only what it is about.
type world struct {
	t    testing.TB
	s    *fsm.State
	next uint64
	sent map[uint64]uint64

	version uint32 // of all entries; 0: each its own
}

// newWorld is founded at index 1 and has these servers up from index 2 on.
func newWorld(t testing.TB, sids ...string) *world {
	t.Helper()
	return newWorldWith(t, nil, sids...)
}

func newWorldWith(t testing.TB, settings *fsmpb.Settings, sids ...string) *world {
	t.Helper()
	return newWorldOf(t, 0, settings, sids...)
}

// newWorldOf is a world whose entries are of a version.
func newWorldOf(t testing.TB, version uint32, settings *fsmpb.Settings, sids ...string) *world {
	t.Helper()
	w := &world{t: t, s: fsm.NewState(), next: 1, sent: make(map[uint64]uint64), version: version}
	w.apply(entryFound("cluster", settings))
	for _, sid := range sids {
		w.up(upOf(sid, "inc-"+sid))
	}
	return w
}

func (w *world) apply(e *fsmpb.Entry) fsm.Result {
	w.t.Helper()
	if w.version != 0 {
		e.Version = w.version
	}
	r := w.s.Apply(w.next, e)
	if r.Err != nil {
		w.t.Fatalf("apply at %d: %v", w.next, r.Err)
	}
	if err := fsm.CheckIndexes(w.s); err != nil {
		w.t.Fatalf("after index %d: %v", w.next, err)
	}
	w.next++
	return r
}

// up registers a life that must be new, and gives its epoch.
func (w *world) up(up *fsmpb.ServerUp) uint64 {
	w.t.Helper()
	r := w.apply(entryUp(up))
	if r.Up.Outcome != fsm.UpNew {
		w.t.Fatalf("ServerUp %s: outcome %d, want a new life", up.GetSid(), r.Up.Outcome)
	}
	return r.Up.Server.Epoch
}

func (w *world) epoch(sid string) uint64 {
	srv, _ := w.s.Server(sid)
	return srv.Epoch
}

// do applies operations as the next batch of sid, each in its own group.
func (w *world) do(sid string, ops ...*fsmpb.Op) []byte {
	w.t.Helper()
	epoch := w.epoch(sid)
	return w.send(batch(sid, epoch, w.number(epoch), ops...))
}

// group applies operations as the next batch of sid, in one group.
func (w *world) group(sid string, ops ...*fsmpb.Op) []byte {
	w.t.Helper()
	epoch := w.epoch(sid)
	return w.send(grouped(sid, epoch, w.number(epoch), ops...))
}

func (w *world) number(epoch uint64) uint64 {
	w.sent[epoch]++
	return w.sent[epoch]
}

func (w *world) send(b *fsmpb.Batch) []byte {
	w.t.Helper()
	r := w.apply(entryBatches(b)).Batches[0]
	if r.Outcome != fsm.BatchApplied {
		w.t.Fatalf("batch %d of %s: outcome %d, want applied", b.GetNumber(), b.GetOriginSid(), r.Outcome)
	}
	return r.Results
}

func (w *world) wantMembers(name string, want ...string) {
	w.t.Helper()
	got := []string{}
	for _, m := range w.s.Members(name).Members() {
		got = append(got, m.UID+"@"+m.SID)
	}
	if diff := cmp.Diff(sorted(want), sorted(got)); diff != "" {
		w.t.Errorf("members of %q (-want +got):\n%s", name, diff)
	}
}

func snapshotOf(t testing.TB, s *fsm.State) []byte {
	t.Helper()
	var buf bytes.Buffer
	if _, err := s.WriteSnapshot(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func wantResults(t *testing.T, got []byte, want ...fsm.OpResult) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("results %v, want %v", got, want)
	}
}
