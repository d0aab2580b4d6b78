package fsm

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/hashicorp/raft"
)

// Copy writes the state for another server's Replace, as it is at some index from now
// on, while entries are applied. It waits while a snapshot is taken. Below the
// level of checkpoints nothing is known to be wrong, and there are no copies.
func (r *Replica) Copy(ctx context.Context, w io.Writer) error {
	c, err := r.captureSoon(ctx)
	if err != nil {
		return fmt.Errorf("copy the state: %w", err)
	}
	defer c.release()
	out := bufio.NewWriterSize(w, 256<<10)
	if _, err := c.write(out); err != nil {
		return fmt.Errorf("copy the state: %w", err)
	}
	return out.Flush()
}

// captureSoon begins a capture when no other is under way.
func (r *Replica) captureSoon(ctx context.Context) (*capture, error) {
	for {
		c, other, err := r.tryCapture()
		if c != nil || err != nil {
			return c, err
		}
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (r *Replica) tryCapture() (c *capture, other <-chan struct{}, err error) {
	r.lock()
	defer r.unlock()
	switch under := r.state.capturing(); {
	case r.state.halted != nil:
		return nil, nil, r.state.halted
	case r.state.snapshotVersion() < snapshotVersion:
		return nil, nil, fmt.Errorf("level %d has no such copies", r.state.level)
	case under != nil:
		return nil, under.done, nil
	}
	return r.state.begin(), nil, nil
}

// Replace puts the state of a Copy, which another server made, in the place of this
// one's, at the index that this one has reached: nothing that was applied before is
// missing then, and what comes next follows. The old state stays, and goes on, until
// then. entry gives what is in the log; entries up to Index are asked for, and may be
// left out where they are no commands. An error changes nothing; so ends a Restore
// meanwhile.
func (r *Replica) Replace(ctx context.Context, copied io.Reader, entry func(index uint64, l *raft.Log) error) (index uint64, err error) {
	s, err := ReadSnapshot(copied)
	if err != nil {
		return 0, fmt.Errorf("replace the state: %w", err)
	}
	if err := r.Wait(ctx, s.Index()); err != nil { // the other server was ahead
		return 0, fmt.Errorf("replace the state: %w", err)
	}
	follow := &follower{state: s, entry: entry, decoder: decoder{keep: true}}
	// Most of what is missing beside Apply, which is held up for the rest only.
	if err := follow.to(ctx, r.Index()); err != nil {
		return 0, fmt.Errorf("replace the state: %w", err)
	}
	r.decoding.Lock()
	defer r.decoding.Unlock()
	if err := follow.to(ctx, r.Index()); err != nil {
		return 0, fmt.Errorf("replace the state: %w", err)
	}
	r.lock()
	defer r.unlock()
	if s.Index() != r.state.Index() {
		return 0, fmt.Errorf("replace the state: at index %d, and this server at %d", s.Index(), r.state.Index())
	}
	r.state = s
	r.publishLocked()
	r.announceLocked()
	return s.Index(), nil
}

// follower applies a log to a state that nobody else has yet.
type follower struct {
	state   *State
	entry   func(uint64, *raft.Log) error
	decoder decoder
}

func (f *follower) to(ctx context.Context, index uint64) error {
	for i := f.state.Index() + 1; i <= index; i++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var l raft.Log
		if err := f.entry(i, &l); err != nil {
			return fmt.Errorf("entry %d of the log: %w", i, err)
		}
		if l.Type != raft.LogCommand {
			continue
		}
		if err := f.apply(&l); err != nil {
			return err
		}
	}
	return nil
}

func (f *follower) apply(l *raft.Log) error {
	defer f.decoder.release()
	c, err := f.decoder.command(l.Data)
	if err != nil {
		return fmt.Errorf("entry %d of the log: %w", l.Index, err)
	}
	return f.state.apply(l.Index, c).Err
}
