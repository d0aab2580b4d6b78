package fsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"
)

// Replica is a node's copy of the state: the adapter between State and Raft,
// with the lock that lets readers in between entries. Raft calls Apply,
// Snapshot and Restore from one goroutine; everybody else reads.
type Replica struct {
	mu             sync.RWMutex // guards state and serversChanged
	state          *State
	serversChanged chan struct{}

	waiters waiters // has its own lock, taken inside mu

	decoding sync.Mutex // guards decoder; taken outside mu, and held for one Apply
	decoder  decoder    // what an entry is read into, to be used again
}

// raft asks for both. Without the second one configuration entries would not
// move the snapshot index.
var (
	_ raft.FSM                = (*Replica)(nil)
	_ raft.ConfigurationStore = (*Replica)(nil)
)

// NewReplica starts from the empty state.
func NewReplica() *Replica {
	return &Replica{state: NewState(), serversChanged: make(chan struct{}), decoder: decoder{keep: true}}
}

// Apply implements raft.FSM. The response is a Result.
func (r *Replica) Apply(l *raft.Log) any {
	if l.Type != raft.LogCommand {
		return Result{Index: l.Index}
	}
	r.decoding.Lock()
	defer r.decoding.Unlock()
	c, err := r.decoder.command(l.Data) // outside the lock, and to the end: nothing stops halfway
	defer r.decoder.release()

	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		if r.state.halted != nil {
			return Result{Index: l.Index, Err: r.state.halted}
		}
		return r.state.halt(l.Index, err)
	}
	records := r.state.records
	result := r.state.apply(l.Index, c)
	if r.state.records != records {
		r.announceLocked()
	}
	r.waiters.advance(r.state.index)
	return result
}

// StoreConfiguration implements raft.ConfigurationStore. Who votes is no part
// of the state; see there why the method exists.
func (r *Replica) StoreConfiguration(uint64, raft.Configuration) {}

func (r *Replica) announceLocked() {
	close(r.serversChanged)
	r.serversChanged = make(chan struct{})
}

// Index of the last command entry that took effect here. Raft's own
// AppliedIndex counts what is queued for the state, this what is in it.
func (r *Replica) Index() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.state.index
}

// Wait returns nil once Index is at least index, else the context's cause. An
// index of an entry that is not a command may never be reached.
func (r *Replica) Wait(ctx context.Context, index uint64) error {
	return r.waiters.wait(ctx, index)
}

// View runs f under the read lock: it must be short and must not keep
// references into the state. What the reads of State return is safe to keep.
func (r *Replica) View(f func(*State)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	f(r.state)
}

// Halted is nil while the state is healthy. Only a snapshot from beyond the
// entry that it could not understand makes a halted state healthy again.
func (r *Replica) Halted() error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.state.halted
}

// Level is the version of the entries that may be written now; see State.Level.
func (r *Replica) Level() uint32 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.state.level
}

// Hash is the checksum of the snapshot that the state would write, and the
// index that it is of. It walks the whole state under the read lock, so it is
// for comparing replicas and not for every second. Of a halted state it is the
// one before the entry that halted it.
func (r *Replica) Hash() (index uint64, sum string) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	sum, err := r.state.writeSnapshot(io.Discard)
	if err != nil { // not writable as a snapshot either, which then says why
		return r.state.index, ""
	}
	return r.state.index, sum
}

// ServersChanged is closed at the next change of any server record, and by a
// restore. Take it before you read the servers, or you may miss one.
func (r *Replica) ServersChanged() <-chan struct{} {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.serversChanged
}

// Snapshot implements raft.FSM. It fails while the state is halted, so that
// the log stays for a newer binary. Encoding happens here and not in Persist:
// it holds up applying, but needs no second copy of the state that could change.
func (r *Replica) Snapshot() (raft.FSMSnapshot, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	buf := new(bytes.Buffer)
	if _, err := r.state.WriteSnapshot(buf); err != nil {
		return nil, err
	}
	return &encoded{data: buf.Bytes()}, nil
}

// Restore implements raft.FSM. The old state stays, halted or not, until the
// whole snapshot has been read and found good. Raft closes the snapshot.
func (r *Replica) Restore(snapshot io.ReadCloser) error {
	s, err := ReadSnapshot(snapshot)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = s
	r.announceLocked()
	r.waiters.advance(s.index)
	return nil
}

// encoded is a finished snapshot on its way to the disk.
type encoded struct{ data []byte }

// Persist implements raft.FSMSnapshot.
func (e *encoded) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(e.data); err != nil {
		return errors.Join(fmt.Errorf("persist snapshot: %w", err), sink.Cancel())
	}
	if err := sink.Close(); err != nil {
		return fmt.Errorf("persist snapshot: %w", err)
	}
	return nil
}

// Release implements raft.FSMSnapshot.
func (e *encoded) Release() { e.data = nil }
