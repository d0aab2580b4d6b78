package switchnet

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/jepsen_like_test/fault"
)

func seeded(seed uint64) *link { return &link{random: rand.New(rand.NewPCG(seed, 1))} }

// send sends n packets a millisecond apart and returns when each copy arrives after
// the sending.
func send(l *link, w fault.Weather, n int) (late []time.Duration, at []time.Duration) {
	for i := range n {
		now := time.Duration(i) * time.Millisecond
		for _, due := range l.arrivals(&w, now, nil) {
			late, at = append(late, due-now), append(at, due)
		}
	}
	return late, at
}

func TestLink_CutsStopTheirTraffic(t *testing.T) {
	const icmp = 1
	for _, tt := range []struct {
		cuts []fault.Traffic
		want []byte // that get through
	}{
		{nil, []byte{tcp, udp, icmp}},
		{[]fault.Traffic{fault.Gossip}, []byte{tcp, icmp}},
		{[]fault.Traffic{fault.Calls}, []byte{udp, icmp}},
		{[]fault.Traffic{fault.Calls, fault.Gossip}, []byte{icmp}},
		{[]fault.Traffic{fault.All}, nil},
	} {
		var l link
		for _, what := range tt.cuts {
			l.cut.Or(bit(what))
		}
		got := slices.DeleteFunc([]byte{tcp, udp, icmp}, func(protocol byte) bool { return !l.carries(protocol) })
		if !slices.Equal(got, tt.want) {
			t.Errorf("cut %v: %v get through, want %v", tt.cuts, got, tt.want)
		}
	}
}

func TestLink_LossAndDuplicatesAreAsManyAsAsked(t *testing.T) {
	const n = 10000
	for _, tt := range []struct {
		w    fault.Weather
		want float64
	}{
		{fault.Weather{Loss: 0.05}, 0.95},
		{fault.Weather{Loss: 1}, 0},
		{fault.Weather{Duplicate: 0.2}, 1.2},
		{fault.Weather{Duplicate: 1}, 2},
		{fault.Weather{Loss: 0.5, Duplicate: 0.5}, 0.75},
	} {
		_, at := send(seeded(7), tt.w, n)
		if got := float64(len(at)) / n; got < tt.want-0.02 || got > tt.want+0.02 {
			t.Errorf("%+v: %v of the packets arrived, want %v", tt.w, got, tt.want)
		}
	}
}

// Jitter alone must not change the order: a road with one lane does not.
func TestLink_JitterDelaysWithinItsBoundsAndKeepsTheOrder(t *testing.T) {
	w := fault.Weather{Delay: 20 * time.Millisecond, Jitter: 60 * time.Millisecond}
	late, at := send(seeded(7), w, 10000)
	if low, high := slices.Min(late), slices.Max(late); low < w.Delay || high > w.Delay+w.Jitter || high-low < w.Jitter/2 {
		t.Errorf("delays are %v to %v, want %v and up to %v more", low, high, w.Delay, w.Jitter)
	}
	if !slices.IsSorted(at) {
		t.Error("packets were overtaken without being reordered")
	}
}

func TestLink_ReorderedPacketsAreOvertaken(t *testing.T) {
	const n = 10000
	_, at := send(seeded(7), fault.Weather{Reorder: 0.1}, n)
	overtaken := 0
	for i := range at[1:] {
		if at[i] > at[i+1] {
			overtaken++
		}
	}
	// Some are held for less time than the next one takes to come.
	if got := float64(overtaken) / n; got < 0.05 || got > 0.1 {
		t.Errorf("%v of the packets were overtaken, want nearly 0.1", got)
	}
}

func TestLink_ChanceFollowsFromTheSeed(t *testing.T) {
	w := fault.Weather{Delay: time.Millisecond, Jitter: time.Millisecond, Loss: 0.1, Duplicate: 0.1, Reorder: 0.1}
	_, first := send(seeded(7), w, 100)
	_, again := send(seeded(7), w, 100)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the same seed (-first +again):\n%s", diff)
	}
	if _, other := send(seeded(8), w, 100); slices.Equal(first, other) {
		t.Error("another seed, the same weather")
	}
}
