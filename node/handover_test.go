package node_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// A leader that is closed under load hands over within half a second, and no caller
// on another server is told of it.
func TestClose_OfTheLeaderUnderLoadGivesNobodyAnError(t *testing.T) {
	rounds := 5
	if raceDetector { // it sees the same code each time
		rounds = 2
	}
	for round := range rounds {
		inBubble(t, func(t *testing.T, ctx context.Context) {
			f := readyCluster(t, ctx, four()...)
			f.SetLatency(time.Millisecond)
			defer f.SetLatency(0)
			leader := f.Leader(ctx)
			load, cancel := context.WithCancel(ctx)
			var group sync.WaitGroup
			var mu sync.Mutex
			var longest time.Duration
			for _, n := range f.Nodes() {
				if n == leader {
					continue
				}
				for c := range 20 {
					group.Go(func() {
						for i := 0; load.Err() == nil; i++ {
							began := time.Now()
							err := n.Add(ctx, "world", fmt.Sprint(c, "-", i), n.Self().SID)
							mu.Lock()
							longest = max(longest, time.Since(began))
							mu.Unlock()
							if err != nil {
								t.Errorf("round %d: %v", round, err)
							}
						}
					})
				}
			}
			pause(ctx, time.Duration(300+round*37)*time.Millisecond)
			if err := leader.Close(); err != nil {
				t.Error(err)
			}
			pause(ctx, time.Second)
			cancel()
			group.Wait()
			if longest > 500*time.Millisecond {
				t.Errorf("longest call %v", longest)
			}
		})
	}
}
