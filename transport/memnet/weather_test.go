package memnet

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// numbered sends that many packets, one each 10 ms, and returns those that come, in order.
func numbered(t *testing.T, n *Net, count int) (got []int) {
	t.Helper()
	from, to := listenPacket(t, n, a), listenPacket(t, n, b)
	go func() {
		for i := range count {
			sendPacket(t, from, to, fmt.Sprint(i))
			<-time.After(10 * time.Millisecond)
		}
	}()
	to.SetReadDeadline(time.Now().Add(time.Minute))
	text := make([]byte, 16)
	for {
		size, _, err := to.ReadFrom(text)
		if err != nil {
			break
		}
		var i int
		fmt.Sscan(string(text[:size]), &i)
		got = append(got, i)
	}
	from.Close()
	to.Close()
	return got
}

// inWeather makes a network with weather from a to b.
func inWeather(w Weather, seed uint64) *Net {
	n := New()
	n.Seed(seed)
	n.SetLatency(time.Millisecond)
	n.SetWeather(a, b, w)
	return n
}

func TestWeather_LosesPacketsAsTheSeedSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := Weather{Loss: 0.3}
		first := numbered(t, inWeather(w, 1), 1000)
		if len(first) < 600 || len(first) > 800 || !slices.IsSorted(first) {
			t.Errorf("%d of 1000 packets came, sorted %v", len(first), slices.IsSorted(first))
		}
		if diff := cmp.Diff(first, numbered(t, inWeather(w, 1), 1000)); diff != "" {
			t.Errorf("the same seed again: %s", diff)
		}
		if cmp.Equal(first, numbered(t, inWeather(w, 2), 1000)) {
			t.Error("another seed loses the same ones")
		}
	})
}

func TestWeather_DuplicatesPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := numbered(t, inWeather(Weather{Duplicate: 1}, 1), 3)
		if diff := cmp.Diff([]int{0, 0, 1, 1, 2, 2}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWeather_ReordersPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := numbered(t, inWeather(Weather{Reorder: 0.3}, 1), 100)
		overtaken := 0
		for i := 1; i < len(got); i++ {
			if got[i] < got[i-1] {
				overtaken++
			}
		}
		if overtaken < 10 || overtaken > 40 {
			t.Errorf("%d of 100 were overtaken", overtaken)
		}
		slices.Sort(got)
		if len(got) != 100 || len(slices.Compact(got)) != 100 {
			t.Errorf("%d of 100 came", len(got))
		}
		if got := numbered(t, inWeather(Weather{Reorder: 1}, 1), 1); len(got) != 1 {
			t.Errorf("%v: what nothing comes after is lost", got)
		}
	})
}

func TestWeather_JitterSpreadsPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := inWeather(Weather{Delay: 100 * time.Millisecond, Jitter: 100 * time.Millisecond}, 1)
		from, to := listenPacket(t, n, a), listenPacket(t, n, b)
		least, most := time.Hour, time.Duration(0)
		for range 100 {
			begun := time.Now()
			sendPacket(t, from, to, "x")
			receive(t, to, "x")
			least, most = min(least, time.Since(begun)), max(most, time.Since(begun))
		}
		if least < 101*time.Millisecond || least > 110*time.Millisecond || most > 201*time.Millisecond || most < 190*time.Millisecond {
			t.Errorf("from %v to %v", least, most)
		}
	})
}

// Whatever the weather, a stream has all its bytes in order; it is only slow.
func TestWeather_HoldsUpStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := inWeather(Weather{Delay: 20 * time.Millisecond, Jitter: 50 * time.Millisecond, Loss: 0.2, Duplicate: 0.5, Reorder: 0.5}, 1)
		pair := connect(t, n)
		begun := time.Now()
		var want strings.Builder
		go func() {
			for i := range 1000 {
				fmt.Fprintln(&want, i)
				fmt.Fprintln(pair.near, i)
				<-time.After(time.Millisecond)
			}
			pair.near.Close()
		}()
		got, err := io.ReadAll(pair.far)
		if diff := cmp.Diff(want.String(), string(got)); diff != "" || err != nil {
			t.Error(err, diff)
		}
		if d := time.Since(begun); d < 1200*time.Millisecond || d > time.Minute {
			t.Errorf("took %v: nothing was repeated, or all of it", d)
		}
	})
}

// After a loss the sender waits for 200 ms, then for twice as long. What it sends meanwhile waits behind, and what
// comes the other way does not.
func TestWeather_LossOfAStreamHoldsUpWhatFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		pair := connect(t, n)
		n.SetWeather(a, b, Weather{Loss: 1})
		begun := time.Now()
		write(t, pair.near, "lost seven times, ")
		n.SetWeather(a, b, Weather{})
		write(t, pair.near, "behind it")
		write(t, pair.far, "at once")
		read(t, pair.near, "at once")
		if d := time.Since(begun); d != 0 {
			t.Errorf("the way back took %v", d)
		}
		read(t, pair.far, "lost seven times, behind it")
		if d, want := time.Since(begun), 127*retransmission; d != want {
			t.Errorf("took %v, want %v", d, want)
		}
	})
}

func TestWeather_LossOfADialIsRepeatedAfterASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		l, err := n.Host(b).Listen("tcp", ":7400")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		n.SetWeather(b, a, Weather{Loss: 1}) // the answer's way
		begun := time.Now()
		near, err := n.Host(a).DialContext(context.Background(), "tcp", b+":7400")
		if d, want := time.Since(begun), 127*time.Second; err != nil || d != want {
			t.Fatalf("%v after %v, want %v", err, d, want)
		}
		near.Close()
	})
}

func TestWeather_IsOfOneDirectionOrEverywhereUntilHealAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		one, two := listenPacket(t, n, a), listenPacket(t, n, b)
		takes := func(from, to net.PacketConn, want time.Duration) {
			t.Helper()
			begun := time.Now()
			sendPacket(t, from, to, "x")
			receive(t, to, "x")
			if d := time.Since(begun); d != want {
				t.Errorf("took %v, want %v", d, want)
			}
		}
		n.SetWeather(a, b, Weather{Delay: time.Second})
		takes(one, two, time.Second)
		takes(two, one, 0)
		n.SetWeatherEverywhere(Weather{Delay: time.Minute})
		takes(one, two, time.Minute)
		takes(two, one, time.Minute)
		takes(one, one, 0)
		n.SetWeather(a, b, Weather{}) // the sun shines here alone
		takes(one, two, 0)
		takes(two, one, time.Minute)
		n.HealAll()
		takes(two, one, 0)
	})
}

func TestNet_CutOfPacketsOrStreamsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		one, two := listenPacket(t, n, a), listenPacket(t, n, b)
		pair := connect(t, n)
		n.CutPackets(a, b)
		sendPacket(t, one, two, "lost")
		write(t, pair.near, "arrives")
		read(t, pair.far, "arrives")
		connect(t, n)
		n.Heal(a, b)

		n.CutStreams(a, b)
		sendPacket(t, one, two, "arrives")
		receive(t, two, "arrives")
		write(t, pair.near, "held")
		quiet(t, pair.far)
		l, err := n.Host(b).Listen("tcp", ":7400")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := n.Host(a).DialContext(ctx, "tcp", b+":7400"); !isTimeout(err) {
			t.Errorf("dial: %v, want a timeout", err)
		}
		n.CutPackets(a, b)
		sendPacket(t, one, two, "lost too")
		n.HealAll()
		read(t, pair.far, "held")
		sendPacket(t, one, two, "after all")
		receive(t, two, "after all")
	})
}

func TestNet_CountsWhatItSpoils(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, spoil := range map[string]func(*Net){
			"a cut":   func(n *Net) { n.CutPackets(a, b) },
			"weather": func(n *Net) { n.SetWeather(a, b, Weather{Loss: 1}) },
		} {
			n := New()
			numbered(t, n, 10)
			if got := n.Touched(); got != 0 {
				t.Errorf("%s: %d touched before", name, got)
			}
			spoil(n)
			numbered(t, n, 10)
			if got := n.Touched(); got != 10 {
				t.Errorf("%s: %d touched of 10 packets", name, got)
			}
		}
	})
}
