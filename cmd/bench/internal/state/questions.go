package state

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/pofresh/globalchannel/fsm"
)

const (
	askedPlaces = 1 << 16 // so many that what they need is in no cache of the processor
	hotPlaces   = 256     // so few that it is, as it is of a channel that is pushed to
)

// place is what is asked about: every other one is a membership, and the ones
// between are a random channel and player.
type place struct{ name, uid string }

// questions measures those that a server asks all the time, at two sizes: one caller,
// a Read for each.
func (b *bench) questions(ctx context.Context) error {
	for suffix, shape := range map[string]Shape{"": small, "_10m": small10} {
		w, err := b.build(ctx, shape, 0, 0)
		if err != nil {
			return err
		}
		places := w.places(askedPlaces)
		for _, kind := range []struct {
			name   string
			places []place
			yes    int // of the places, at least
			ask    func(s fsm.Reads, p place) bool
		}{
			{"contains", places, len(places) / 2, contains},
			{"contains_hot", places[:hotPlaces], hotPlaces / 2, contains},
			{"count", places, len(places), counts},
			{"count_hot", places[:hotPlaces], hotPlaces, counts},
		} {
			for range b.options.Runs {
				a, err := w.ask(ctx, kind.places, b.options.Duration, kind.ask)
				if err != nil {
					return err
				}
				if a.yes < kind.yes {
					return fmt.Errorf("%s: got %d times yes, want %d at least", kind.name, a.yes, kind.yes)
				}
				b.add(kind.name+"_ns"+suffix, a.ns)
				b.add(kind.name+"_allocs"+suffix, a.allocs)
			}
		}
	}
	return nil
}

func contains(s fsm.Reads, p place) bool { return s.Contains(p.name, p.uid) }

func counts(s fsm.Reads, p place) bool { return s.Count(p.name) > 0 }

// places are n of them. Their texts lie one after another, as whoever asks has just read
// them: where the names of all players are, each would be a load from memory of its own,
// before the question.
func (w *world) places(n int) []place {
	places := make([]place, n)
	var texts strings.Builder
	for i := range places {
		m := w.all[w.random.IntN(len(w.all))]
		if i%2 == 1 {
			m = w.shape.any(w.random)
		}
		places[i] = place{w.names.channel(m.channel), w.names.uid(m.player)}
		texts.WriteString(places[i].name + places[i].uid)
	}
	rest := texts.String()
	for i, p := range places {
		name, uid := len(p.name), len(p.uid)
		places[i] = place{rest[:name], rest[name : name+uid]}
		rest = rest[name+uid:]
	}
	return places
}

// answers are those to all places, asked again and again for a time.
type answers struct {
	ns, allocs float64 // of one question
	yes        int     // of the places
}

func (w *world) ask(ctx context.Context, places []place, d time.Duration, question func(fsm.Reads, place) bool) (a answers, err error) {
	var p place
	var yes bool
	view := func(s fsm.Reads) { yes = question(s, p) }
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	n := 0
	for time.Since(began) < d && ctx.Err() == nil {
		a.yes = 0
		for _, p = range places {
			w.replica.Read(view)
			if yes {
				a.yes++
			}
		}
		n += len(places)
	}
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	a.ns = float64(took.Nanoseconds()) / float64(n)
	a.allocs = float64(after.Mallocs-before.Mallocs) / float64(n)
	return a, ctx.Err()
}
