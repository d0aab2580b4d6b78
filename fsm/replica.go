package fsm

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// Replica is a node's copy of the state: the adapter between State and Raft,
// with the lock that lets readers in. Raft calls Apply,
// Snapshot and Restore from one goroutine; everybody else reads.
type Replica struct {
	// A read has to be of an index, not of the middle of an entry. An entry is applied under
	// both locks, and leaves the second one to reads meanwhile if it can; see beside. Whoever
	// changes anything else holds both, taken in this order.
	whole entryLock // no entry is half applied
	mu    entryLock // if one is, Reads do not show it. Guards state and serversChanged

	state          *State
	serversChanged chan struct{}
	index          atomic.Uint64 // of state, for who asks for nothing else
	level          atomic.Uint32
	readers        int // for how many entries there will be reads, as it looks; Apply's

	waiters     waiters // has its own lock, taken inside mu
	checkpoints chan *Checkpoint

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
	r := &Replica{
		state: NewState(), serversChanged: make(chan struct{}), checkpoints: make(chan *Checkpoint, 1), decoder: decoder{keep: true},
	}
	r.publishLocked()
	return r
}

func (r *Replica) lock() {
	r.whole.Lock()
	r.mu.Lock()
}

func (r *Replica) unlock() {
	r.mu.Unlock()
	r.whole.Unlock()
}

// publishLocked follows a change of the state.
func (r *Replica) publishLocked() {
	r.index.Store(r.state.index)
	r.level.Store(r.state.level)
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
	r.lock()
	defer r.unlock()
	if err != nil {
		if r.state.halted != nil {
			return Result{Index: l.Index, Err: r.state.halted}
		}
		return r.state.halt(l.Index, err)
	}
	if r.readsGoOn(&c) {
		c.gate = &r.mu
	}
	records := r.state.records
	result := r.state.apply(l.Index, c)
	if r.state.records != records {
		r.announceLocked()
	}
	if c.other.GetCheckpoint() != nil && result.Err == nil {
		r.checkpointLocked()
	}
	r.publishLocked()
	r.waiters.advance(r.state.Index())
	return result
}

const (
	// besideOps is how many operations an entry has at least beside which reads go on: a
	// small one is over before they would have been let in.
	besideOps = 8
	// readersStay is after how many entries without a read none is expected any more.
	readersStay = 16
)

// readsGoOn says whether reads go on beside an entry, which takes a little longer then. One
// that raises the level has done so before its first operation.
func (r *Replica) readsGoOn(c *command) bool {
	if r.mu.wasRead() {
		r.readers = readersStay
	} else if r.readers > 0 {
		r.readers--
	}
	return r.readers > 0 && c.ops() >= besideOps && c.version <= r.state.level
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
	return r.index.Load()
}

// Wait returns nil once Index is at least index, else the context's cause. An
// index of an entry that is not a command may never be reached.
func (r *Replica) Wait(ctx context.Context, index uint64) error {
	return r.waiters.wait(ctx, index)
}

// View runs f on the state of one index: it must be short and must not keep references
// into it. What the reads of State return is safe to keep. It waits for an entry that is
// just being applied.
func (r *Replica) View(f func(*State)) {
	r.whole.RLock()
	defer r.whole.RUnlock()
	f(r.state)
}

// Read is View for questions that need not wait for an entry: they are answered from the
// index before. As from a View nothing else may be asked of the Replica from within: it
// could wait for an entry that waits for this.
func (r *Replica) Read(f func(Reads)) {
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
func (r *Replica) Level() uint32 { return r.level.Load() }

// Hash is the hash of the state, and the index that it is of. It reads the whole state
// while entries are applied, so it is for comparing replicas and not for every second,
// and waits while a snapshot is taken. Of a halted state it is the one before the entry
// that halted it.
func (r *Replica) Hash() (index uint64, sum string) {
	for {
		c := r.capture()
		sum, err := c.hash(context.Background())
		c.release()
		if err == nil {
			return c.index, sum
		}
	}
}

// capture begins one when no other is under way.
func (r *Replica) capture() *capture {
	for {
		r.lock()
		other := r.state.capturing()
		if other == nil {
			defer r.unlock()
			return r.state.begin()
		}
		r.unlock()
		<-other.done
	}
}

// ServersChanged is closed at the next change of any server record, and by a
// restore. Take it before you read the servers, or you may miss one.
func (r *Replica) ServersChanged() <-chan struct{} {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.serversChanged
}

// Snapshot implements raft.FSM. It fails while the state is halted, so that
// the log stays for a newer binary. What takes long happens in Persist, while entries
// are applied.
func (r *Replica) Snapshot() (raft.FSMSnapshot, error) {
	r.lock()
	defer r.unlock()
	s := r.state
	if s.halted != nil {
		return nil, fmt.Errorf("snapshot: %w", s.halted)
	}
	if s.snapshotVersion() == snapshotVersion {
		return captured{s.begin()}, nil
	}
	buf := new(bytes.Buffer)
	if _, err := s.WriteSnapshot(buf); err != nil {
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
	r.lock()
	defer r.unlock()
	r.state = s
	r.publishLocked()
	r.announceLocked()
	r.waiters.advance(s.Index())
	return nil
}

// captured is a snapshot that has yet to be written.
type captured struct{ *capture }

// Persist implements raft.FSMSnapshot.
func (c captured) Persist(sink raft.SnapshotSink) error {
	out := bufio.NewWriterSize(sink, 256<<10)
	_, err := c.write(out)
	return finish(sink, errors.Join(err, out.Flush()))
}

// Release implements raft.FSMSnapshot.
func (c captured) Release() { c.release() }

// encoded is a finished snapshot, of an older version, on its way to the disk.
type encoded struct{ data []byte }

// Persist implements raft.FSMSnapshot.
func (e *encoded) Persist(sink raft.SnapshotSink) error {
	_, err := sink.Write(e.data)
	return finish(sink, err)
}

// Release implements raft.FSMSnapshot.
func (e *encoded) Release() { e.data = nil }

func finish(sink raft.SnapshotSink, err error) error {
	if err != nil {
		return errors.Join(fmt.Errorf("persist snapshot: %w", err), sink.Cancel())
	}
	if err := sink.Close(); err != nil {
		return fmt.Errorf("persist snapshot: %w", err)
	}
	return nil
}
