package sim

import (
	"slices"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/trial"
)

// One in so many handings is spoiled.
const every = 3

// planted are histories as they would be of a cluster with a fault.
var planted = []struct {
	name  string
	want  checker.Kind
	spoil func([]history.Event) []history.Event
}{
	{"a push is sent again without its number", checker.Twice, func(events []history.Event) []history.Event {
		return each(events, history.Handed, func(e history.Event) []history.Event { return []history.Event{e, e} })
	}},
	{"a byte is lost", checker.Altered, func(events []history.Event) []history.Event {
		return each(events, history.Handed, func(e history.Event) []history.Event {
			e.Sum = "another"
			return []history.Event{e}
		})
	}},
	{"a frontend looks up the members before its replica is far enough", checker.Lost, func(events []history.Event) []history.Event {
		return each(events, history.Handed, func(e history.Event) []history.Event {
			e.UIDs, e.Offline = nil, nil
			return []history.Event{e}
		})
	}},
	{"a frontend answers before its handler does", checker.Lost, func(events []history.Event) []history.Event {
		return each(events, history.Handed, func(history.Event) []history.Event { return nil })
	}},
	{"a frontend does not see who left", checker.Resurrected, func(events []history.Event) []history.Event {
		ever := make(map[[2]string][]string)
		return each(events, history.Handed, func(e history.Event) []history.Event {
			where := [2]string{e.Via, e.Channel}
			e.UIDs = slices.Compact(slices.Sorted(slices.Values(slices.Concat(ever[where], e.UIDs))))
			ever[where] = e.UIDs
			return []history.Event{e}
		})
	}},
	{"the queue is a stack", checker.Overtaken, func(events []history.Event) []history.Event {
		held := make(map[[3]string]history.Event)
		return each(events, history.Handed, func(e history.Event) []history.Event {
			lane := [3]string{e.Via, e.From, e.Channel}
			if first, ok := held[lane]; ok {
				delete(held, lane)
				return []history.Event{e, first}
			}
			held[lane] = e
			return nil
		})
	}},
	{"a lost answer is reported as not delivered", checker.Misreported, func(events []history.Event) []history.Event {
		return each(events, history.Push, func(e history.Event) []history.Event {
			e.Answers = slices.Clone(e.Answers)
			for i := range e.Answers {
				e.Answers[i].Outcome = history.NotDelivered
			}
			return []history.Event{e}
		})
	}},
	{"a dead frontend is left out of the report", checker.Lost, func(events []history.Event) []history.Event {
		return each(events, history.Push, func(e history.Event) []history.Event {
			e.Answers = slices.DeleteFunc(slices.Clone(e.Answers), func(a history.Answer) bool { return a.Outcome != history.Delivered })
			return []history.Event{e}
		})
	}},
	{"the undelivered are not named", checker.Lost, func(events []history.Event) []history.Event {
		return each(events, history.Push, func(e history.Event) []history.Event {
			e.UIDs = nil
			return []history.Event{e}
		})
	}},
}

// each spoils some of the events of a kind: of handings one in so many, of pushes all
// that returned.
func each(events []history.Event, f history.F, spoil func(history.Event) []history.Event) (out []history.Event) {
	n := 0
	for _, e := range events {
		if e.F != f || e.Type == history.Invoke {
			out = append(out, e)
			continue
		}
		if n++; f == history.Handed && n%every != 0 {
			out = append(out, e)
			continue
		}
		out = append(out, spoil(e)...)
	}
	return out
}

// The history of a run of pushes is rich enough to fail.
func TestPush_PlantedFaultsAreSeen(t *testing.T) {
	_, events := run(t, trial.Spec{Simulated: true, Workload: trial.Push, Nemeses: []string{"processes", "network"}, Seed: *seedFlag, Time: 4 * time.Minute})
	for _, p := range planted {
		r, err := checker.CheckPushes(p.spoil(events))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(r.Violations, func(v checker.Violation) bool { return v.Kind == p.want }) {
			t.Errorf("%s: nobody sees it: %v", p.name, r)
		}
	}
}
