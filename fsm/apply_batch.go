package fsm

import (
	"slices"
	"unicode/utf8"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// answered is what a batch of an origin gets when it comes again.
type answered struct {
	index   uint64 // where it took effect
	results []byte // one per operation; never written to again
}

func (s *State) batches(index uint64, c command) []BatchResult {
	if c.gate != nil {
		s.letReadsIn(c.gate)
		defer s.keepReadsOut()
	}
	r := run{state: s, version: c.version, real: &ledger{State: s, at: index}}
	results := make([]BatchResult, 0, len(c.batches))
	for i := range c.batches {
		results = append(results, r.batch(index, &c.batches[i]))
	}
	return results
}

// batch applies a numbered batch of an origin at most once.
func (r *run) batch(index uint64, b *batch) BatchResult {
	origin := r.state.servers[string(b.originSID)]
	if origin == nil || origin.Epoch != b.originEpoch {
		return BatchResult{Outcome: BatchForgotten}
	}
	// What an ended life had done is still answered, so that its process can
	// settle its callers; only what it had not done yet is fenced off.
	switch last := origin.lastNumber; {
	case b.number == 0:
		return BatchResult{Outcome: BatchOld}
	case b.number <= last:
		return origin.repeated(b.number)
	case !origin.Up:
		return BatchResult{Outcome: BatchFenced}
	case b.number > last+1:
		return BatchResult{Outcome: BatchGap}
	}
	var results []byte // nil if there is no operation, as a snapshot gives it back
	if b.count > 0 {
		results = make([]byte, 0, b.count)
	}
	warm := 0
	for i := range b.groups {
		if i == warm {
			warm += r.state.warm(b.groups[i:])
		}
		results = r.group(origin, &b.groups[i], results)
	}
	// An older binary kept one batch. Its snapshot and its log have to lead to
	// one state, so what it wrote is kept like that here too.
	window := Window
	if r.version < 2 {
		window = 1
	}
	origin.keep(window, answered{index: index, results: results})
	return BatchResult{Outcome: BatchApplied, Results: slices.Clone(results), Index: index}
}

// repeated answers a batch that was applied: the newest kept one is lastNumber.
func (o *server) repeated(number uint64) BatchResult {
	back := o.lastNumber - number
	if back >= uint64(len(o.kept)) {
		return BatchResult{Outcome: BatchOld}
	}
	a := o.kept[len(o.kept)-1-int(back)]
	return BatchResult{Outcome: BatchRepeated, Results: slices.Clone(a.results), Index: a.index}
}

// keep takes the results of the next batch and drops those beyond the window.
func (o *server) keep(window int, a answered) {
	o.lastNumber++
	if extra := len(o.kept) + 1 - window; extra > 0 {
		o.kept = slices.Delete(o.kept, 0, extra) // moves a few headers, and clears what it frees
	}
	o.kept = append(o.kept, a)
}

// batchesOf is for entries that did not come as bytes.
func batchesOf(p *fsmpb.Batches) []batch {
	batches := make([]batch, 0, len(p.GetBatches()))
	for _, pb := range p.GetBatches() {
		b := batch{originSID: []byte(pb.GetOriginSid()), originEpoch: pb.GetOriginEpoch(), number: pb.GetNumber()}
		for _, pg := range pb.GetGroups() {
			g := group{seen: pg.GetSeen()}
			for _, o := range pg.GetOps() {
				g.ops = append(g.ops, opOf(o))
			}
			b.groups = append(b.groups, g)
			b.count += len(g.ops)
		}
		batches = append(batches, b)
	}
	return batches
}

func opOf(o *fsmpb.Op) op {
	return op{
		kind: o.GetKind(), extras: len(o.GetMeta()) > 0 || o.GetOptions() != nil,
		place:   place{name: textOf(o.GetName()), uid: textOf(o.GetUid()), sid: textOf(o.GetSid())},
		session: o.GetSession(), epoch: o.GetEpoch(),
	}
}

// textOf is what no log can hold if s is not UTF-8: the NUL is refused as well.
func textOf(s string) []byte {
	if !utf8.ValidString(s) {
		return []byte{0}
	}
	return []byte(s)
}
