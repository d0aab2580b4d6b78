package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// A probe opens a fresh stream: three round trips with TLS. Where those take
	// longer than this, heartbeats find out, at the pace of Raft's I/O timeout.
	probeTimeout = 200 * time.Millisecond
	probePause   = 100 * time.Millisecond
	// A call that takes longer is watched. If the peer is only slow, the probes
	// succeed, and are then rarer.
	slowCall       = 150 * time.Millisecond
	probePauseSlow = 500 * time.Millisecond
	// A call is cut if the peer gave no sign of life for longer than this. One probe
	// that comes late is no outage; after a short one TCP soon tries again by itself.
	// To start a snapshot again costs more than to wait out an interruption.
	outageOfCall, outageOfSnapshot = 500 * time.Millisecond, time.Second
	// After that a follower that seemed to hang is taken for one that was away.
	outageOfStalled = time.Second
	// After that long a held call is tried, whatever the probes say.
	maxHold = 30 * time.Second
	// Of entries in one request, unless one alone is larger: heartbeats wait behind it.
	maxAppendBytes = 4 << 20
	// A peer that answers probes, and fails calls at once, may have been restarted:
	// each stream left in the pool fails once. More often than this it is Raft's
	// affair, which then backs off.
	maxQuickFailures = 5
)

// ErrNoPeer is a Probe's answer for a server that is not in the configuration (any more).
var ErrNoPeer = errors.New("not a server of this cluster")

// RaftTransport is what raft finds in a transport, partly by type assertion.
type RaftTransport interface {
	raft.Transport
	raft.WithPreVote
	raft.WithClose
}

// Reach is how a Courier learns about a peer beside Raft's calls. Both methods
// are called concurrently.
type Reach interface {
	// Probe opens a new stream to the peer and closes it. It returns soon after
	// ctx has ended. ErrNoPeer: the peer need not be waited for.
	Probe(ctx context.Context, id raft.ServerID, addr raft.ServerAddress) error
	// Cut ends the streams, and dials, to the peer. It does not block.
	Cut(id raft.ServerID)
}

// Courier carries a leader's log to its followers, and waits for those that are
// away.
//
// Raft v1.7.3 waits up to 10.24 s, which cannot be configured, before it tries a
// follower again that failed often; a healed replica lagged as long. So Raft does
// not hear of the failures: a call that failed stays with the Courier until the
// peer answers a probe, or a heartbeat, and then goes out at once. It fails when
// this node steps down (StepDown), or a call of a newer term shows that it did,
// and when the peer leaves the configuration. There is no other limit: each
// failure that Raft hears of before the peer has answered would lengthen its wait.
//
// A call that hangs when the network heals would go on hanging, for a dial or a
// stream that lost packets tries again ever more rarely. So a call that takes
// long is probed beside: when neither probes nor heartbeats were answered for a
// while, and then one is, what there is of streams to the peer is cut, and the
// call sent again.
//
// A follower whose disk hangs answers probes, and each request that it is sent
// stays with it, a goroutine and up to maxAppendBytes, until the disk goes on. So
// where a call has timed out while probes were answered, the next one waits for
// the answer to a heartbeat: only Raft's main loop there gives it.
//
// Heartbeats go through as they are. Raft bounds their back-off (half the
// heartbeat timeout), its log shows that the peer is away, and they release held
// calls where the probes should be wrong.
//
// There is no pipelining: all the above needs one call at a time, and more bought
// nothing where it was measured.
//
// It starts no goroutine that outlives a call.
type Courier struct {
	RaftTransport
	reach Reach

	mu        sync.Mutex // guards all below
	followers map[raft.ServerID]*follower
	term      uint64             // newest in which this node has led
	led       context.Context    // ends with this node's leadership in term
	end       context.CancelFunc // of led
	last      uint64             // entry of this node's log; 0: nobody tells
	grown     chan struct{}      // closed when there is a later one; nil: nobody waits for that
	hasty     int                // how many do not want questions to rest

	past context.Context // has ended, as the leadership in all terms before has
}

// NewCourier returns a transport over t.
func NewCourier(t RaftTransport, r Reach) *Courier {
	past, end := context.WithCancel(context.Background())
	end()
	return &Courier{RaftTransport: t, reach: r, followers: make(map[raft.ServerID]*follower), led: past, end: end, past: past}
}

// StepDown lets go of all calls, and holds none of the terms up to now any more.
func (c *Courier) StepDown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end()
}

// Close implements raft.WithClose.
func (c *Courier) Close() error {
	c.StepDown()
	return c.RaftTransport.Close()
}

// Contact is when the peer's Raft last answered a heartbeat of this node, zero if it
// never did. Its disk was well then: heartbeats wait there behind what is written.
func (c *Courier) Contact(id raft.ServerID) time.Time { return c.follower(id).lastBeat() }

// leading is the time in which this node leads in a term. Only a leader appends
// entries, so the first one of a new term begins it.
func (c *Courier) leading(term uint64) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if term < c.term {
		return c.past
	}
	if term > c.term {
		c.end()
		c.term = term
		c.led, c.end = context.WithCancel(context.Background())
	}
	return c.led
}

func (c *Courier) follower(id raft.ServerID) *follower {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.followers[id]
	if f == nil {
		f = &follower{id: id, reach: c.reach, present: make(chan struct{})}
		close(f.present)
		c.followers[id] = f
	}
	return f
}

// AppendEntriesPipeline implements raft.Transport.
func (c *Courier) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}

// AppendEntries implements raft.Transport.
func (c *Courier) AppendEntries(id raft.ServerID, addr raft.ServerAddress, req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	f := c.follower(id)
	if isHeartbeat(req) {
		sent := time.Now()
		err := c.RaftTransport.AppendEntries(id, addr, req, resp)
		f.beat(req, resp, sent, err)
		return err
	}
	if c.answerIdle(f, req, resp) {
		return nil
	}
	shorten(req)
	led := c.leading(req.Term)
	for quick := 0; ; {
		held, err := f.await(led, addr, maxHold)
		if err != nil {
			return err
		}
		if held {
			quick = 0
		}
		*resp = raft.AppendEntriesResponse{}
		sent := time.Now()
		stalled, err := f.watched(led, addr, outageOfCall, func() error { return c.RaftTransport.AppendEntries(id, addr, req, resp) })
		if err == nil {
			f.answered(req, resp, sent)
			return nil
		}
		f.failed(stalled)
		if quick++; time.Since(sent) > probePause {
			quick = 0
		}
		if quick == maxQuickFailures || led.Err() != nil {
			return err
		}
	}
}

// InstallSnapshot implements raft.Transport. It waits for a peer that is away, as
// AppendEntries does, but once begun it is not tried again: its data has been read.
func (c *Courier) InstallSnapshot(id raft.ServerID, addr raft.ServerAddress, req *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	f := c.follower(id)
	led := c.leading(req.Term)
	if _, err := f.await(led, addr, 0); err != nil {
		return err
	}
	f.forget() // its log will be another one
	stalled, err := f.watched(led, addr, outageOfSnapshot, func() error { return c.RaftTransport.InstallSnapshot(id, addr, req, resp, data) })
	if err != nil {
		f.failed(stalled)
	}
	return err
}

// isHeartbeat is Raft's own rule: nothing in it but the term and who leads.
func isHeartbeat(req *raft.AppendEntriesRequest) bool {
	return req.PrevLogEntry == 0 && req.PrevLogTerm == 0 && len(req.Entries) == 0 && req.LeaderCommitIndex == 0
}

// shorten takes off entries that would make the request too large; Raft counts
// them only. It reads from the request how far the follower now is, and sends what
// was taken off with the next one. Nothing holds that until then: a request lives
// as long as its follower is away.
func shorten(req *raft.AppendEntriesRequest) {
	size := 0
	for i, e := range req.Entries {
		if size += len(e.Data); size > maxAppendBytes && i > 0 {
			clear(req.Entries[i:])
			req.Entries = req.Entries[:i]
			return
		}
	}
}

// steppedDown ends calls that were held.
func steppedDown(id raft.ServerID) error {
	return fmt.Errorf("%s was away, and this node does not lead any more", id)
}
