package nemesis

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// timed is a paper cluster that takes its time.
type timed struct {
	*paper
	shown  time.Duration // that a life is shown after its end
	writes time.Duration // that each takes
	more   uint64        // elections after a kill, besides the one

	over  map[string]uint64 // the lives that ended last
	ended time.Time
}

func (c *timed) Kill(sids ...string) error {
	c.end(sids)
	c.term += c.more
	return c.paper.Kill(sids...)
}

func (c *timed) End(_ context.Context, sids ...string) error {
	c.end(sids)
	c.term++ // for another life
	return nil
}

func (c *timed) end(sids []string) {
	c.over, c.ended = map[string]uint64{sids[0]: c.term}, time.Now()
}

func (c *timed) Lives(context.Context, string) (map[string]uint64, error) {
	if time.Since(c.ended) < c.shown {
		return maps.Clone(c.over), nil
	}
	return nil, nil
}

func (c *timed) Write(context.Context, ...string) error {
	time.Sleep(c.writes) // on the bubble's clock
	return nil
}

func (c *timed) Transfer(ctx context.Context, sid string) error {
	time.Sleep(100 * time.Millisecond)
	return c.paper.Transfer(ctx, sid)
}

// prompt is one that is held to its promises.
type prompt struct{ *timed }

func (prompt) Prompt() {}

// What takes long is noted, and told of a cluster whose clock is its own only.
func TestTimes_AreHeldToPromises(t *testing.T) {
	for _, tt := range []struct {
		nemesis string
		promise Promise
		shown   time.Duration
		broken  bool
	}{
		{"stays-dead", Reaped, 14 * time.Second, false},
		{"stays-dead", Reaped, 16 * time.Second, true},
		{"rolling-restart", Closed, 900 * time.Millisecond, false},
		{"rolling-restart", Closed, 1100 * time.Millisecond, true},
	} {
		for _, held := range []bool{false, true} {
			_, errs, papers := suffersAs(t, tt.nemesis, 3, func(p *paper) Cluster {
				c := &timed{paper: p, shown: tt.shown}
				if held {
					return prompt{c}
				}
				return c
			})
			for i, err := range errs {
				told := err != nil && strings.Contains(err.Error(), tt.promise.Name)
				if told != (tt.broken && held) || err != nil && !told {
					t.Errorf("%s, shown for %v, held to it: %v: %v", tt.nemesis, tt.shown, held, err)
				}
				took := papers[i].s.Times()[tt.promise.Name]
				if len(took) == 0 || took[0] > tt.shown || took[0] < tt.shown-tt.promise.EveryTime/50 {
					t.Errorf("%s, shown for %v: noted %v", tt.nemesis, tt.shown, took)
				}
			}
		}
	}
}

// The promise is for one leader, or one who takes over.
func TestTimes_OfTheDeadAreNotThoseOfElections(t *testing.T) {
	_, errs, papers := suffersAs(t, "stays-dead", 3, func(p *paper) Cluster {
		return prompt{&timed{paper: p, shown: time.Minute, more: 1}}
	})
	for i, err := range errs {
		if took := papers[i].s.Times()[Reaped.Name]; err != nil || len(took) > 0 {
			t.Errorf("%v; noted %v", err, took)
		}
	}
}

func TestTimes_OfWrites(t *testing.T) {
	const each = 30 * time.Millisecond
	for _, tt := range []struct {
		nemesis string
		promise Promise
	}{{"kill-leader", Outage}, {"transfer-storm", HandOver}} {
		_, errs, papers := suffersAs(t, tt.nemesis, 3, func(p *paper) Cluster { return &timed{paper: p, writes: each} })
		for i, err := range errs {
			took := papers[i].s.Times()[tt.promise.Name]
			if err != nil || len(took) == 0 || slices.ContainsFunc(took, func(d time.Duration) bool { return d != each }) {
				t.Errorf("%s: %v; noted %v, want %v", tt.nemesis, err, took, each)
			}
		}
	}
}

func TestPercentile(t *testing.T) {
	var list []time.Duration
	for i := range 200 {
		list = append(list, time.Duration(200-i))
	}
	for of, want := range map[int]time.Duration{1: 2, 50: 100, 99: 198, 100: 200} {
		if got := Percentile(list, of); got != want {
			t.Errorf("%d of 200 numbers: %d, want %d", of, got, want)
		}
	}
	if got := Percentile(list[:1], 50); got != 200 {
		t.Errorf("of one: %d", got)
	}
}
