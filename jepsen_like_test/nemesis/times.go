package nemesis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
)

// ReapAfter is the setting of clusters under nemeses: short, so that many lives end and
// are resumed.
const ReapAfter = 5 * time.Second

// Prompt is a cluster whose clock stands while its servers compute. Only such a one is
// held to times: with real processes they would tell of the machine.
type Prompt interface{ Prompt() }

// Near is the latency, one way, up to which percentiles are promised: an election is four
// round trips, and after it who writes has to find the new leader.
const Near = 15 * time.Millisecond

// Promise is one about time; 0: there is no such bound.
type Promise struct {
	Name      string
	P50, P99  time.Duration
	EveryTime time.Duration
}

// The promises about time that faults are occasions for.
var (
	Outage   = Promise{Name: "next write after the leader was lost", P50: 2 * time.Second, P99: 3500 * time.Millisecond}
	HandOver = Promise{Name: "longest write while leadership was handed over", P99: 500 * time.Millisecond}
	Reaped   = Promise{Name: "a dead server was gone everywhere", EveryTime: ReapAfter + 10*time.Second}
	Closed   = Promise{Name: "a server that had ended was gone everywhere", EveryTime: time.Second}
	Healed   = Promise{Name: "everybody was whole after the network was", EveryTime: 10 * time.Second}
)

// Promises are all of them.
func Promises() []Promise { return []Promise{Outage, HandOver, Reaped, Closed, Healed} }

// Holds says whether these times keep what is promised of percentiles.
func (p Promise) Holds(took []time.Duration) bool {
	return (p.P50 == 0 || Percentile(took, 50) <= p.P50) && (p.P99 == 0 || Percentile(took, 99) <= p.P99)
}

func (p Promise) String() string {
	var told []string
	for _, b := range []struct {
		name  string
		bound time.Duration
	}{{"p50", p.P50}, {"p99", p.P99}, {"every time", p.EveryTime}} {
		if b.bound > 0 {
			told = append(told, fmt.Sprintf("%s %v", b.name, b.bound))
		}
	}
	return strings.Join(told, ", ")
}

// Took notes how long something took; the error is that it took too long.
func (s *Scene) Took(p Promise, d time.Duration) error {
	s.times[p.Name] = append(s.times[p.Name], d)
	if _, prompt := s.Cluster.(Prompt); prompt && p.EveryTime > 0 && d > p.EveryTime {
		return fmt.Errorf("%s only after %v, promised are %v", p.Name, d, p.EveryTime)
	}
	return nil
}

// Times are those that were noted, by the promise's name.
func (s *Scene) Times() map[string][]time.Duration { return s.times }

// written notes how long it is until a write through one of those is acknowledged.
func (s *Scene) written(ctx context.Context, through []string) error {
	began := time.Now()
	if err := s.write(ctx, s.shuffled(through)[0]); err != nil {
		return err
	}
	return s.Took(Outage, time.Since(began))
}

// write asks again if it is refused: the server's life may have been over for a moment.
func (s *Scene) write(ctx context.Context, through string) error {
	return harness.Await(ctx, "a write through "+through, func(ctx context.Context) error { return s.Write(ctx, through) })
}

// handedOver has the leader give leadership away while somebody else writes, and notes the
// longest write, whatever became of it. It may refuse, or lead no more: then nothing moved.
func (s *Scene) handedOver(ctx context.Context, leader string) (moved bool, err error) {
	writer := s.shuffled(without(s.everybody(), leader))[0]
	if err := s.write(ctx, writer); err != nil { // before, and the connection stands
		return false, err
	}
	var longest time.Duration
	var failed error
	over := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for failed == nil {
			began := time.Now()
			failed = s.write(ctx, writer)
			longest = max(longest, time.Since(began))
			select {
			case <-over: // what began before it has been acknowledged
				return
			default:
			}
		}
	})
	refused := s.Transfer(ctx, leader)
	close(over)
	group.Wait()
	if failed != nil {
		return false, errors.Join(failed, refused)
	}
	return refused == nil, s.Took(HandOver, longest)
}

// gone waits until none of the others shows those lives any more, and returns how long one
// of them did at least. within is what is promised.
func (s *Scene) gone(ctx context.Context, lives map[string]uint64, within time.Duration) (took time.Duration, err error) {
	began := time.Now()
	for _, via := range s.everybody() {
		for lives[via] == 0 {
			asked := time.Since(began)
			err := s.shows(ctx, via, lives)
			if err == nil {
				break
			}
			took = max(took, asked)
			if wait := s.Lasts(ctx, within/100, within/100); wait != nil {
				return 0, errors.Join(wait, err)
			}
		}
	}
	return took, nil
}

// ended is gone, of those that were asked to end.
func (s *Scene) ended(ctx context.Context, lives map[string]uint64) error {
	took, err := s.gone(ctx, lives, Closed.EveryTime)
	if err == nil {
		err = s.Took(Closed, took)
	}
	return err
}

// shows is nil if that server shows none of those lives.
func (s *Scene) shows(ctx context.Context, via string, lives map[string]uint64) error {
	now, err := s.Lives(ctx, via)
	if err != nil {
		return err
	}
	for sid, epoch := range lives {
		if now[sid] == epoch {
			return fmt.Errorf("%s shows life %d of %s", via, epoch, sid)
		}
	}
	return nil
}

// Percentile of durations, which must not be none.
func Percentile(list []time.Duration, of int) time.Duration {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[(len(sorted)*of+99)/100-1]
}
