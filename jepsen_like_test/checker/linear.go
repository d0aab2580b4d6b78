package checker

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// LinearReport is the verdict of CheckLinear, with the counts that say whether the
// history was worth judging.
type LinearReport struct {
	Writes, Reads   int // that took effect, or were answered, for sure
	Failed, Unknown int
	Channels        int
	Counted         int // writes whose effect was counted, see once.go
	Replicas        int // observations of a replica's state
	Ended, Resumed  int // lives that were followed by another one, and by one of the same process
	Took            time.Duration
	Violations      []Violation

	model  porcupine.Model
	bad    []porcupine.Operation // of the channel that was found wrong, up to there
	faults []placedFault
	cs     *channels
}

// placedFault is a fault with its place in the history.
type placedFault struct {
	history.Event
	place time.Duration
}

// places are the events with their places in the history for times. The clock of a
// simulation stands still while much happens.
func places(events []history.Event) []history.Event {
	events = slices.Clone(events)
	for i := range events {
		events[i].At = time.Duration(i + 1)
	}
	return events
}

func (r LinearReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d writes, %d reads in %d channels; %d failed, %d unknown; %d effects counted, %d replica states compared; %d lives ended, %d were resumed; searched for %v; %d violations",
		r.Writes, r.Reads, r.Channels, r.Failed, r.Unknown, r.Counted, r.Replicas, r.Ended, r.Resumed, r.Took.Round(time.Millisecond), len(r.Violations))
	tell(&b, r.Violations)
	return b.String()
}

// CheckLinear judges a history of workers that share members. Is there an order of
// all writes and linearizable reads that keeps to real time and to what everybody
// was told? porcupine searches it, for each channel by itself; a search that takes
// longer than limit has no verdict, which is a violation too.
//
// Which of two events came first is taken from their places in the history, as by
// CheckPushes. The history must show each life of the sids that members are on, and
// where one ended without a next one. The error is about the history, as Check's is.
func CheckLinear(events []history.Event, limit time.Duration) (LinearReport, error) {
	placed := places(events)
	ops, err := history.Operations(placed)
	if err != nil {
		return LinearReport{}, err
	}
	lives, err := readLives(placed, ops)
	if err != nil {
		return LinearReport{}, err
	}
	cs, err := newCalls(ops, lives)
	if err != nil {
		return LinearReport{}, err
	}
	r := LinearReport{Channels: len(cs.written), cs: &channels{&cs.members}, Ended: lives.ended, Resumed: lives.resumed}
	r.model = r.cs.model(cs.turns.first)
	r.count(ops)
	r.Violations = cs.doubles
	began := time.Now()
	switch porcupine.CheckOperationsTimeout(r.model, cs.out, limit) {
	case porcupine.Illegal:
		r.Violations = append(r.Violations, r.explain(cs.out, limit))
	case porcupine.Unknown:
		r.Violations = append(r.Violations, Violation{Undecided, 0, fmt.Sprintf("no verdict after %v", limit)})
	}
	r.Took = time.Since(began)
	var broken []Violation
	r.Counted, broken = checkOnce(ops, cs.turns.slots)
	r.Violations = append(r.Violations, broken...)
	r.Replicas, broken = checkReplicas(events)
	r.Violations = append(r.Violations, broken...)
	for i, e := range events {
		if e.F == history.Fault {
			r.faults = append(r.faults, placedFault{e, placed[i].At})
		}
	}
	return r, nil
}

func (r *LinearReport) count(ops []history.Operation) {
	for _, op := range ops {
		switch {
		case op.Type == history.Fail:
			r.Failed++
		case op.Type == history.Unknown:
			r.Unknown++
		case op.F != history.Read:
			r.Writes++
		case op.Linearizable:
			r.Reads++
		}
	}
}

// explain finds the first answer that no order allows, in the channel where it
// came earliest: up to the answer before, all was well.
func (r *LinearReport) explain(ops []porcupine.Operation, limit time.Duration) Violation {
	illegal := func(part []porcupine.Operation) bool {
		return porcupine.CheckOperationsTimeout(r.model, part, limit) == porcupine.Illegal
	}
	var first porcupine.Operation
	for _, part := range byChannel(ops) {
		if !illegal(part) {
			continue
		}
		known := returned(part)
		i := sort.Search(len(known), func(i int) bool { return illegal(until(part, known[i].Return)) })
		if i < len(known) && (r.bad == nil || known[i].Return < first.Return) {
			first, r.bad = known[i], until(part, known[i].Return)
		}
	}
	if r.bad == nil {
		return Violation{NotLinearizable, 0, "no order of the operations explains what was told"}
	}
	return Violation{NotLinearizable, first.Input.(call).op.Op, "no order explains " + r.cs.describe(first.Input.(call), first.Output.(answer))}
}
