package node_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pofresh/globalchannel/node"
)

// The leader's disk hangs in the middle of an fsync. Everybody is told the truth in
// time, and when the disk goes on, what was told comes true.
func TestNode_ParkedFsyncOfTheLeaderShowsEachOutcome(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		n := f.Leader(ctx)
		sid := n.Self().SID
		settle(ctx)
		must(t, n.Add(ctx, "world", "acknowledged", sid))
		resume := f.StallDisk(sid)

		short := func(name, uid string) error {
			return timed(t, ctx, 50*time.Millisecond, func(ctx context.Context) error { return n.Add(ctx, name, uid, sid) })
		}
		// In the entry that is being written.
		wantError(t, short("world", "parked"), node.ErrOutcomeUnknown, context.DeadlineExceeded)
		// Behind it, in no batch yet.
		wantError(t, short("world", "queued"), node.ErrNotSent, context.DeadlineExceeded)
		// Refused by this node, or by what it knows.
		wantError(t, short("world\x00", "u"), node.ErrInvalidArgument, node.ErrRejected)
		// Waits, and will be acknowledged; and one that the state will refuse.
		late, refused := make(chan error, 1), make(chan error, 1)
		long, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		go func() { late <- n.Add(long, "world", "late", sid) }()
		synctest.Wait()
		go func() {
			_, err := n.Apply(long, node.Op{Kind: node.OpAdd, Name: "world", UID: "refused", SID: sid, Epoch: 1})
			refused <- err
		}()
		synctest.Wait()
		// More than a queue holds.
		var waiting sync.WaitGroup
		given, stop := context.WithCancel(ctx)
		overloaded := 0
		for i := range 40 {
			ops := make([]node.Op, 4000)
			for j := range ops {
				ops[j] = node.Op{Kind: node.OpLeave, Name: "world", UID: fmt.Sprint(i, "-", j), SID: sid}
			}
			done := make(chan error, 1)
			waiting.Go(func() {
				_, err := n.Apply(given, ops...)
				done <- err
			})
			synctest.Wait()
			select {
			case err := <-done:
				wantError(t, err, node.ErrOverloaded, node.ErrNotSent)
				overloaded++
			default:
			}
		}
		if overloaded == 0 || overloaded == 40 {
			t.Errorf("%d of 40 groups of 4,000 operations were too many", overloaded)
		}
		stop()
		waiting.Wait()

		resume()
		must(t, <-late)
		wantError(t, <-refused, node.ErrAborted, node.ErrServerGone)
		everywhere(t, ctx, f, "world", "acknowledged@"+sid, "parked@"+sid, "late@"+sid)
	})
}

// Nobody waits for one slow disk in three.
func TestNode_ParkedFsyncOfAFollowerHoldsUpNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		slow := follower(t, ctx, f)
		resume := f.StallDisk(slow.Self().SID)
		for i := range 20 {
			must(t, f.Leader(ctx).Add(ctx, "world", fmt.Sprint(i), slow.Self().SID))
		}
		// Its own callers write too, and read elsewhere.
		must(t, slow.Add(ctx, "own", "alice", slow.Self().SID))
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		if _, err := slow.Members(short, "own"); !errors.Is(err, node.ErrReplicaBehind) {
			t.Errorf("a read behind a parked disk: %v, want %v", err, node.ErrReplicaBehind)
		}
		resume()
		everywhere(t, ctx, f, "own", "alice@"+slow.Self().SID)
	})
}
