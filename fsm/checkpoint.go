package fsm

import (
	"context"
	"fmt"
)

// StateHash is the hash of the whole logical state at an index. Two replicas with
// equal forms and indexes have equal sums, or one of them is wrong.
type StateHash struct {
	Form  uint32 // HashForm of who hashed
	Index uint64
	Sum   string // hexadecimal
}

// Checkpoint is the state at the index of an fsmpb.Checkpoint.
type Checkpoint struct{ capture *capture }

// Hash reads the whole state as it was while others are applied. It is called once. It
// ends with ctx, and where a snapshot is to be taken meanwhile, which goes before.
func (c *Checkpoint) Hash(ctx context.Context) (StateHash, error) {
	sum, err := c.capture.hash(ctx)
	if err != nil {
		return StateHash{}, fmt.Errorf("hash the state at index %d: %w", c.capture.index, err)
	}
	return StateHash{Form: HashForm, Index: c.capture.index, Sum: sum}, nil
}

// Release gives back what the checkpoint holds: until then the state keeps notes of
// what is written. It is safe to repeat.
func (c *Checkpoint) Release() { c.capture.release() }

// Checkpoints has the last one until it is taken. One that comes before, or while a
// snapshot is taken, is left out. Who takes one releases it.
func (r *Replica) Checkpoints() <-chan *Checkpoint { return r.checkpoints }

// checkpointLocked begins a capture, if nobody has one. Only Apply sends: there is room
// if there was.
func (r *Replica) checkpointLocked() {
	if len(r.checkpoints) < cap(r.checkpoints) && r.state.capturing() == nil {
		r.checkpoints <- &Checkpoint{r.state.begin()}
	}
}
