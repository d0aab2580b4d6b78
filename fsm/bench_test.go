package fsm_test

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// benchOps is how many operations one entry of a busy leader holds.
const benchOps = 1000

func benchEntry(number uint64, e uint64) *fsmpb.Entry {
	b := &fsmpb.Batch{OriginSid: "a", OriginEpoch: e, Number: number}
	for i := range benchOps {
		n := int(number)*benchOps + i
		op := opAdd(fmt.Sprint("channel:", n%5000), fmt.Sprint("user:", n), "a", e)
		b.Groups = append(b.Groups, &fsmpb.Group{Seen: 1, Ops: []*fsmpb.Op{op}})
	}
	return entryBatches(b)
}

func perOp(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchOps, "ns/operation")
}

func BenchmarkEncodeEntry(b *testing.B) {
	e := benchEntry(1, gen(2))
	for b.Loop() {
		if _, err := fsm.EncodeEntry(fsm.Version, e); err != nil {
			b.Fatal(err)
		}
	}
	perOp(b)
}

func BenchmarkDecodeEntry(b *testing.B) {
	data := logOf(b, 1, benchEntry(1, gen(2))).Data
	for b.Loop() {
		if _, err := fsm.DecodeEntry(data); err != nil {
			b.Fatal(err)
		}
	}
	perOp(b)
}

func BenchmarkState_Add(b *testing.B) {
	w := newWorld(b, "a")
	for n := uint64(1); b.Loop(); n++ {
		b.StopTimer()
		if n%200 == 0 { // stay at a size that compares
			w.s.Apply(n+2, entryBatches(batch("a", gen(2), n, opKind(fsmpb.OpKind_OP_DESTROY_ALL))))
			b.StartTimer()
			continue
		}
		e := benchEntry(n, gen(2))
		b.StartTimer()
		w.s.Apply(n+2, e)
	}
	perOp(b)
}

func benchReplica(b *testing.B, entries int) *fsm.Replica {
	r := fsm.NewReplica()
	replay(b, r, []*raft.Log{logOf(b, 1, entryFound("c", nil)), logOf(b, 2, entryUp(upOf("a", "i")))})
	for n := range uint64(entries) {
		replay(b, r, []*raft.Log{logOf(b, n+3, benchEntry(n+1, gen(2)))})
	}
	return r
}

func BenchmarkSnapshot_Write100k(b *testing.B) {
	r := benchReplica(b, 100)
	for b.Loop() {
		persisted(b, r)
	}
}

func BenchmarkSnapshot_Read100k(b *testing.B) {
	data := persisted(b, benchReplica(b, 100))
	for b.Loop() {
		if _, err := fsm.ReadSnapshot(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkState_ServerDown100k(b *testing.B) {
	data := persisted(b, benchReplica(b, 100))
	for b.Loop() {
		b.StopTimer()
		s, err := fsm.ReadSnapshot(bytes.NewReader(data))
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		s.Apply(s.Index()+1, entryDown("a", gen(2)))
	}
}

// How long a checkpoint holds up what is applied next, at a million memberships.
func BenchmarkReplica_Checkpoint1M(b *testing.B) {
	r := benchReplica(b, 1000)
	for i := r.Index() + 1; b.Loop(); i++ {
		replay(b, r, []*raft.Log{logOf(b, i, entryCheckpoint())})
		b.StopTimer()
		(<-r.Checkpoints()).Release()
		b.StartTimer()
	}
}

// And until its hash is known.
func BenchmarkReplica_CheckpointHash1M(b *testing.B) {
	r := benchReplica(b, 1000)
	for i := r.Index() + 1; b.Loop(); i++ {
		replay(b, r, []*raft.Log{logOf(b, i, entryCheckpoint())})
		c := <-r.Checkpoints()
		if _, err := c.Hash(b.Context()); err != nil {
			b.Fatal(err)
		}
		c.Release()
	}
}

// How long entries wait for somebody who lists a channel of a million members, again and
// again.
func BenchmarkReplica_ApplyBesideAList1M(b *testing.B) {
	r := fsm.NewReplica()
	replay(b, r, []*raft.Log{logOf(b, 1, entryFound("c", nil)), logOf(b, 2, entryUp(upOf("a", "i")))})
	const million, atOnce = 1_000_000, 1000
	number := uint64(0)
	add := func(from, n int) []*raft.Log {
		number++
		g := &fsmpb.Group{Seen: 1}
		for i := range n {
			g.Ops = append(g.Ops, opAdd("world", fmt.Sprint("player-", from+i), "a", gen(2)))
		}
		return []*raft.Log{logOf(b, number+2, entryBatches(&fsmpb.Batch{OriginSid: "a", OriginEpoch: gen(2), Number: number, Groups: []*fsmpb.Group{g}}))}
	}
	for i := range million / atOnce {
		replay(b, r, add(i*atOnce, atOnce))
	}
	var done atomic.Bool
	var reader sync.WaitGroup
	lists := 0
	reader.Go(func() {
		for !done.Load() {
			var list fsm.MemberList
			r.View(func(s *fsm.State) { list = s.Members("world") })
			if n := len(list.Members()); n < million {
				b.Errorf("%d members", n)
			}
			lists++
		}
	})
	var longest time.Duration
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		logs := add(million+i, 1)
		b.StartTimer()
		began := time.Now()
		replay(b, r, logs)
		longest = max(longest, time.Since(began))
	}
	done.Store(true)
	reader.Wait()
	b.ReportMetric(float64(longest.Microseconds())/1000, "longest-ms")
	b.ReportMetric(float64(lists), "lists")
}

// How long a read takes while entries of a thousand Adds are applied one after another,
// with questions that go on beside them and with those that wait.
func BenchmarkReplica_ReadBesideEntries(b *testing.B) {
	for name, read := range map[string]func(*fsm.Replica, string){
		"Read": func(r *fsm.Replica, name string) {
			r.Read(func(s fsm.Reads) { s.MembersBySID(name, "a").UIDs() })
		},
		"View": func(r *fsm.Replica, name string) {
			r.View(func(s *fsm.State) { s.MembersBySID(name, "a").UIDs() })
		},
	} {
		b.Run(name, func(b *testing.B) {
			const filled = 100
			r := benchReplica(b, filled)
			var done atomic.Bool
			var applier sync.WaitGroup
			applier.Go(func() {
				for n := uint64(filled); !done.Load(); n++ {
					replay(b, r, []*raft.Log{logOf(b, n+3, benchEntry(n+1, gen(2)))})
				}
			})
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				channel := fmt.Sprint("channel:", i%5000)
				began := time.Now()
				read(r, channel)
				took = append(took, time.Since(began))
			}
			done.Store(true)
			applier.Wait()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
			b.ReportMetric(float64(took[len(took)-1].Microseconds()), "longest-us")
		})
	}
}
