package cluster

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var day = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func sec(n float64) time.Time { return day.Add(time.Duration(n * float64(time.Second))) }

// watched is a leader that began to count at second 0 and looked at its clock every
// second until second end.
func watched(end int) silence {
	s := silence{began: sec(0)}
	for i := range end + 1 {
		s.look(sec(float64(i)))
	}
	return s
}

func TestSilence_CountsFromTheLatestOfWhatItCanKnow(t *testing.T) {
	const after = 10 * time.Second
	missed := func(alive, missed float64) hearing { return hearing{alive: sec(alive), missed: sec(missed)} }
	stalled := func(until float64, looks ...float64) func() silence {
		return func() silence {
			s := watched(20)
			s.look(sec(until))
			for _, l := range looks {
				s.look(sec(l))
			}
			return s
		}
	}
	plain := func(end int) func() silence { return func() silence { return watched(end) } }
	tests := map[string]struct {
		silence func() silence
		now     float64
		heard   hearing
		want    bool
	}{
		"answered just now":                           {plain(30), 30, missed(29, 0), false},
		"one question lost":                           {plain(30), 30, missed(28, 29), false},
		"silent, not yet long enough":                 {plain(30), 30, missed(20.5, 29), false},
		"silent for long enough":                      {plain(30), 30, missed(20, 29), true},
		"never heard, the leader is new":              {plain(9), 9, hearing{missed: sec(8)}, false},
		"never heard in the whole time":               {plain(10), 10, hearing{missed: sec(8)}, true},
		"never asked":                                 {plain(30), 30, hearing{}, false},
		"not asked since it answered":                 {plain(30), 30, missed(20, 19), false},
		"asked only before the leader could count":    {plain(30), 30, hearing{missed: sec(-1)}, false},
		"nothing committed yet":                       {func() silence { return silence{looked: sec(30)} }, 30, missed(1, 29), false},
		"this leader was frozen for a minute":         {stalled(80), 80, missed(19, 20), false},
		"and heard nothing right after":               {stalled(80, 81, 82), 82, missed(19, 81), false},
		"and nothing for long enough after":           {stalled(80, 81, 82), 90, missed(19, 81), true},
		"and has not asked since it woke up":          {stalled(80, 81, 82), 90, missed(19, 20), false},
		"a long second is no stall":                   {stalled(22), 31, missed(21, 30), true},
		"a pause just above that is one":              {stalled(22.1), 31, missed(21, 30), false},
		"the first look at the clock is not a stall":  {func() silence { s := silence{began: sec(0)}; s.look(sec(15)); return s }, 15, missed(1, 14), true},
		"answer that came late, in the sender's view": {plain(30), 30, missed(25, 20), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := test.silence()
			if got := s.silent(sec(test.now), test.heard, after); got != test.want {
				t.Errorf("silent = %v, want %v", got, test.want)
			}
		})
	}
}

// The same against a history that is searched naively.
func TestSilence_AgreesWithItsHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		after := time.Duration(rapid.IntRange(1, 20).Draw(t, "after")) * time.Second
		var s silence
		var h hearing
		now := day
		var began, resumed time.Time
		var answers, questions []time.Time // those in vain
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			step := time.Duration(rapid.IntRange(10, 1900).Draw(t, "ms")) * time.Millisecond
			if rapid.IntRange(0, 30).Draw(t, "stall") == 0 {
				step = time.Duration(rapid.IntRange(2001, 60000).Draw(t, "stalled ms")) * time.Millisecond
				resumed = now.Add(step)
			}
			now = now.Add(step)
			s.look(now)
			if began.IsZero() && rapid.Bool().Draw(t, "committed") {
				began, s.began = now, now
			}
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				answers, h.alive = append(answers, now), now
			case 1, 2, 3:
				sent := now.Add(-time.Duration(rapid.IntRange(0, 5000).Draw(t, "ago")) * time.Millisecond)
				if sent.After(h.missed) { // one question at a time
					questions, h.missed = append(questions, sent), sent
				}
			}
			want := !began.IsZero()
			for _, at := range append(append([]time.Time{began}, answers...), resumed) {
				if now.Sub(at) < after {
					want = false // something was heard, or nothing could be, a moment ago
				}
				asked := false
				for _, q := range questions {
					asked = asked || !q.Before(at)
				}
				want = want && asked
			}
			if got := s.silent(now, h, after); got != want {
				t.Fatalf("silent = %v, want %v: began %v, resumed %v, answers %v, questions %v, now %v", got, want, began, resumed, answers, questions, now)
			}
		}
	})
}

func TestSilence_WhoIsOver(t *testing.T) {
	quiet := hearing{alive: sec(0), missed: sec(29)}
	denied := hearing{alive: sec(0), missed: sec(29), denied: true}
	answers := hearing{alive: sec(29)}
	agent := Life{SID: "agent", Incarnation: "a", NodeID: "n", Epoch: 1, Up: true}
	guest := Life{SID: "guest", Incarnation: "g", NodeID: "n", Epoch: 2, Up: true, Via: "agent", ViaEpoch: 1}
	ended := agent
	ended.Up = false
	moved := guest
	moved.ViaEpoch = 7 // hangs on a later life of the agent
	seen := []Member{{NodeID: "n", Incarnation: "a"}}
	newer := []Member{{NodeID: "n", Incarnation: "b"}}
	tests := map[string]struct {
		lives  []Life
		heard  map[string]hearing
		gossip []Member
		want   []string
	}{
		"silent":                     {[]Life{agent}, map[string]hearing{"agent": quiet}, nil, []string{"agent"}},
		"silent, but gossip sees it": {[]Life{agent}, map[string]hearing{"agent": quiet}, seen, nil},
		"gossip sees another process of that node":   {[]Life{agent}, map[string]hearing{"agent": quiet}, newer, []string{"agent"}},
		"its own node says that it is gone":          {[]Life{agent}, map[string]hearing{"agent": denied}, seen, []string{"agent"}},
		"ended already":                              {[]Life{ended}, map[string]hearing{"agent": quiet}, nil, nil},
		"an attached one ends with its agent":        {[]Life{agent, guest}, map[string]hearing{"agent": quiet, "guest": quiet}, nil, []string{"agent"}},
		"an attached one alone":                      {[]Life{agent, guest}, map[string]hearing{"agent": answers, "guest": denied}, seen, []string{"guest"}},
		"nothing heard of either, gossip sees one":   {[]Life{agent, guest}, map[string]hearing{"agent": quiet, "guest": quiet}, seen, nil},
		"an attached one of another life of its own": {[]Life{agent, moved}, map[string]hearing{"agent": quiet, "guest": denied}, nil, []string{"agent", "guest"}},
		"all answer": {[]Life{agent, guest}, map[string]hearing{"agent": answers, "guest": answers}, nil, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := watched(30)
			over := s.over(sec(30), 10*time.Second, test.lives, func(l Life) hearing { return test.heard[l.SID] }, test.gossip)
			var got []string
			for _, l := range over {
				got = append(got, l.SID)
			}
			if len(got) != len(test.want) || len(got) > 0 && got[0] != test.want[0] || len(got) > 1 && got[1] != test.want[1] {
				t.Errorf("over: %v, want %v", got, test.want)
			}
		})
	}
}
