package node

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/hashicorp/raft"
)

// close stops Raft. It first lets Raft answer what it was given, because a
// command that waits for the state machine at shutdown is never answered, and
// its goroutine would stay behind. If ctx ends before Raft does, the error is
// errStuck, and the rest is done, with after, when Raft does end.
func (c *consensus) close(ctx context.Context, after func() error) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		c.pending.Wait()
		close(idle)
	}()
	// Without a quorum the time passes, and what is pending fails with the shutdown.
	bounded(ctx, answerLast, func(ctx context.Context) { await(ctx, idle) })
	c.courier.StepDown() // Raft waits for calls that are held, and need not tell at its end that it leads no more
	c.raft.DeregisterObserver(c.observer)
	down := make(chan struct{})
	var err error
	ending := c.raft.Shutdown()
	c.guard.Release() // what is parked ends now; before, Raft would have gone on without it
	go func() {
		defer close(down)
		err = ending.Error()
	}()
	// A call to a peer that does not answer would hold it up for its I/O timeout.
	bounded(ctx, answerLast, func(ctx context.Context) { await(ctx, down) })
	c.reluctant.End()
	_ = c.transport.Close() // never fails
	stuck := false
	bounded(ctx, stuckTimeout, func(ctx context.Context) { stuck = !await(ctx, down) })
	if stuck {
		go func() {
			<-down
			c.unwatch()
			_ = after() // nobody is there to hear
		}()
		return errStuck
	}
	c.unwatch()
	return err
}

// unwatch ends the watcher, once Raft is down: until then Raft waits for somebody
// to read its notifications.
func (c *consensus) unwatch() {
	close(c.stop)
	c.watchers.Wait()
}

// untilShutdown ends the wait for a future of Raft's bootstrap with Raft. Raft itself
// sets this field in all futures that its main loop may leave without an answer but in
// this one (v1.7.3), and our guard ends that loop in the middle of a failed write.
func untilShutdown(f raft.Future, down chan struct{}) raft.Future {
	if v := reflect.ValueOf(f); v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct {
		if field := v.Elem().FieldByName("ShutdownCh"); field.CanSet() && field.Type() == reflect.TypeOf(down) {
			field.Set(reflect.ValueOf(down))
		}
	}
	return f
}

// errStuck: Raft's main loop is inside a disk call that does not return. Nothing
// can end it, and its file must not be closed under it.
var errStuck = errors.New("raft does not stop: a disk call hangs; its thread stays until the call returns")

// stuckTimeout is what Raft may take to its end. Longer than any of its calls to peers:
// it is a disk that it waits for then. The rest of Close must still fit into its time.
const stuckTimeout = raftIOTimeout + time.Second

// storeTimeout is Close's share for the files, whose disk may hang only now.
const storeTimeout = time.Second

var errStoreHangs = errors.New("the store does not close: a disk call hangs; its thread stays until the call returns")

// closeStore comes last. Raft has ended: nothing is lost if it is left behind.
func (n *Node) closeStore() error {
	closed := make(chan error, 1)
	go func() { closed <- n.store.Close() }()
	t := time.NewTimer(storeTimeout)
	defer t.Stop()
	select {
	case err := <-closed:
		return err
	case <-t.C:
		return errStoreHangs
	}
}
