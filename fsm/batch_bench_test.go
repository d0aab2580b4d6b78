package fsm_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// A batch of these benchmarks has batchOps operations on a state of memberships
// memberships, five of them to a player: half of them leaves of the oldest, half
// of them adds, so that each changes something and the size stays. ns/operation
// and allocs/operation are of one operation, ns/op and allocs/op of one batch.
const (
	batchOps    = 512
	memberships = 10_000
)

// traffic is the endless row of such batches.
type traffic struct {
	places [2 * memberships]fsm.Op
	next   int // the oldest membership
	number uint64
	split  int // operations in a group

	buf, batch, entry []byte // used again, as an outbox and a desk do
	groups            [][]byte
	ops               []fsm.Op
}

func newTraffic(split int) *traffic {
	tr := &traffic{split: split}
	for i := range tr.places {
		tr.places[i] = fsm.Op{
			Name: fmt.Sprint("guild:", (i*7)%1000), UID: fmt.Sprint("player-", i/5), SID: "connector-1", Epoch: gen(2),
		}
	}
	return tr
}

// draw makes the operations of the next batch.
func (tr *traffic) draw() {
	tr.number++
	tr.ops = tr.ops[:0]
	for i := range batchOps / 2 {
		leave, add := tr.places[(tr.next+i)%len(tr.places)], tr.places[(tr.next+memberships+i)%len(tr.places)]
		leave.Kind, add.Kind = fsmpb.OpKind_OP_LEAVE, fsmpb.OpKind_OP_ADD
		tr.ops = append(tr.ops, leave, add)
	}
	tr.next = (tr.next + batchOps/2) % len(tr.places)
}

// encode does all that happens to a batch until it is an entry.
func (tr *traffic) encode(b testing.TB) {
	tr.buf, tr.groups = tr.buf[:0], tr.groups[:0]
	for ops := range slices.Chunk(tr.ops, tr.split) {
		tr.buf = fsm.AppendGroup(tr.buf, 2, ops...)
	}
	tr.groups = append(tr.groups, tr.buf)
	tr.batch = fsm.AppendBatch(tr.batch[:0], "connector-1", gen(2), tr.number, tr.groups...)
	if head, err := fsm.CheckBatch(tr.batch); err != nil || head.Ops != batchOps {
		b.Fatal(head, err)
	}
	tr.entry = fsm.AppendBatches(tr.entry[:0], fsm.Version, tr.batch)
}

// full is a replica that has the first memberships of the traffic.
func (tr *traffic) full(b testing.TB) (r *fsm.Replica, index uint64) {
	r = fsm.NewReplica()
	replay(b, r, []*raft.Log{logOf(b, 1, entryFound("c", nil)), logOf(b, 2, entryUp(upOf("connector-1", "i")))})
	var group []byte
	for _, op := range tr.places[:memberships] {
		op.Kind = fsmpb.OpKind_OP_ADD
		group = fsm.AppendGroup(group, 2, op)
	}
	tr.number = 1
	apply(b, r, 3, fsm.AppendBatches(nil, fsm.Version, fsm.AppendBatch(nil, "connector-1", gen(2), 1, group)))
	return r, 3
}

func apply(b testing.TB, r *fsm.Replica, index uint64, entry []byte) []byte {
	res := r.Apply(&raft.Log{Index: index, Type: raft.LogCommand, Data: entry}).(fsm.Result)
	if res.Err != nil || res.Batches[0].Outcome != fsm.BatchApplied {
		b.Fatalf("apply: %+v", res)
	}
	return res.Batches[0].Results
}

func TestBatchTraffic_ChangesEveryTimeAndKeepsItsSize(t *testing.T) {
	for _, split := range []int{1, batchOps} {
		tr := newTraffic(split)
		r, index := tr.full(t)
		for range 100 {
			tr.draw()
			tr.encode(t)
			index++
			for i, code := range apply(t, r, index, tr.entry) {
				if code != fsm.OpChanged {
					t.Fatalf("operation %d: result %d", i, code)
				}
			}
		}
		r.View(func(s *fsm.State) {
			if err := fsm.CheckIndexes(s); err != nil || s.Stats().Memberships != memberships {
				t.Errorf("stats %+v, %v", s.Stats(), err)
			}
		})
	}
}

// eachSplit measures single operations and one group. Prepare gives what is
// repeated; what it does with the timer stopped is not counted as time, but its
// allocations are.
func eachSplit(b *testing.B, prepare func(b *testing.B, tr *traffic) (batch func())) {
	for _, split := range []int{1, batchOps} {
		b.Run(fmt.Sprintf("%dx%d", batchOps/split, split), func(b *testing.B) {
			b.ReportAllocs()
			batch := prepare(b, newTraffic(split))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for b.Loop() {
				batch()
			}
			runtime.ReadMemStats(&after)
			ops := float64(b.N) * batchOps
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/ops, "ns/operation")
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/ops, "allocs/operation")
		})
	}
}

func BenchmarkBatch_Encode(b *testing.B) {
	eachSplit(b, func(b *testing.B, tr *traffic) func() {
		tr.draw()
		return func() { tr.encode(b) }
	})
}

// Decode is the check of a batch that comes in.
func BenchmarkBatch_Decode(b *testing.B) {
	eachSplit(b, func(b *testing.B, tr *traffic) func() {
		tr.draw()
		tr.encode(b)
		return func() {
			if _, err := fsm.CheckBatch(tr.batch); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Apply is reading an entry and applying it, as Raft asks for it.
func BenchmarkBatch_Apply(b *testing.B) {
	eachSplit(b, func(b *testing.B, tr *traffic) func() {
		r, index := tr.full(b)
		return func() {
			b.StopTimer()
			tr.draw()
			tr.encode(b)
			index++
			b.StartTimer()
			apply(b, r, index, tr.entry)
		}
	})
}

func BenchmarkBatch_EncodeDecodeApply(b *testing.B) {
	eachSplit(b, func(b *testing.B, tr *traffic) func() {
		r, index := tr.full(b)
		return func() {
			tr.draw()
			tr.encode(b)
			index++
			apply(b, r, index, tr.entry)
		}
	})
}
