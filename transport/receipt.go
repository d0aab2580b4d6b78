package transport

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Raft repeats an empty AppendEntries to every follower each CommitTimeout, so
// that it hears of a commit. Where nothing has changed since its last answer, the
// Courier answers for it. Where nothing can change either, because the follower
// knows that all that it has is committed, the question rests with the Courier
// until the leader's log grows: an idle replica costs its heartbeats.
const (
	// idleAnswer is how long a follower's answer stands for the next ones to the same
	// question, counted from when it was asked, or a later heartbeat was sent that it
	// answered too: by so much longer than heartbeats are apart (70 to 140 ms) that the
	// lastMoment is rare.
	//
	// The leader takes such an answer for a sign of life: its lease may run idleAnswer
	// longer than it should. A follower does not vote for another before an election
	// timeout has passed since it really heard from the leader, so lease + idleAnswer
	// (350 + 200 ms) must stay below that (700 ms).
	idleAnswer = 200 * time.Millisecond
	// mostIdle is how long it stands at most, heartbeats or not: they say nothing of
	// how far the follower is.
	mostIdle = time.Second
	// lastMoment is before an answer stands no longer. Then the question is answered
	// once more and rests no longer: what Raft counts its lease from would else be
	// the last heartbeat, up to 140 ms ago, and a stall of 210 ms, of a machine that is
	// short of CPU, would cost the leadership.
	lastMoment = 20 * time.Millisecond
)

// receipt is the last answer of a follower that had all it was sent.
type receipt struct {
	asked     time.Time // when the question was sent
	alive     time.Time // or a later heartbeat that was answered
	term      uint64
	prev      uint64 // index and term of its last entry
	prevTerm  uint64
	committed uint64 // as it was told
	resp      raft.AppendEntriesResponse
}

// is reports whether the question is the one that was answered.
func (l *receipt) is(req *raft.AppendEntriesRequest) bool {
	return len(req.Entries) == 0 && l.term == req.Term && l.prev == req.PrevLogEntry && l.prevTerm == req.PrevLogTerm && l.committed == req.LeaderCommitIndex
}

// left is for how much longer the answer stands.
func (l *receipt) left(now time.Time) time.Duration {
	return min(l.alive.Add(idleAnswer).Sub(now), l.asked.Add(mostIdle).Sub(now))
}

// settled reports that a follower which has answered the question knows all there
// is to know, until the leader's log grows.
func settled(req *raft.AppendEntriesRequest) bool { return req.LeaderCommitIndex >= req.PrevLogEntry }

// answerIdle answers in the follower's place, if it may; for a question that is
// settled not before there is a reason to ask another one.
func (c *Courier) answerIdle(f *follower, req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) bool {
	for {
		left, changed := f.known(req, resp)
		if left <= 0 {
			return false
		}
		grown := c.growth(req.PrevLogEntry)
		if grown == nil || !settled(req) || left <= lastMoment {
			return true
		}
		if !rest(c.leading(req.Term), left-lastMoment, grown, changed) {
			return true
		}
	}
}

// rest waits until the answer has changed, or for so long: true. False: the log has
// grown, this node steps down, or somebody is in haste.
func rest(led context.Context, d time.Duration, grown, changed <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-changed:
		return true
	case <-grown:
	case <-led.Done():
	}
	return false
}

// Grown notes the last entry of this node's log, whoever leads. Without it no
// question rests.
func (c *Courier) Grown(last uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = last
	c.wakeLocked()
}

// Hasten has no question rest until calm is called. Raft, when it hands leadership
// over, may put one more to the successor and wait for the answer, in a time in which
// its log can't grow.
func (c *Courier) Hasten() (calm func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hasty++
	c.wakeLocked()
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.hasty--
	})
}

func (c *Courier) wakeLocked() {
	if c.grown != nil {
		close(c.grown)
		c.grown = nil
	}
}

// growth returns a channel that is closed when the log grows; nil if it reaches
// beyond that entry already, nobody tells, or nothing may rest.
func (c *Courier) growth(beyond uint64) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == 0 || c.last > beyond || c.hasty > 0 {
		return nil
	}
	if c.grown == nil {
		c.grown = make(chan struct{})
	}
	return c.grown
}

// known gives the answer to a question that was answered before: for how much
// longer it stands, and a channel that is closed when there is another one.
func (f *follower) known(req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (left time.Duration, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.last.is(req) {
		return 0, nil
	}
	*resp = f.last.resp
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return f.last.left(time.Now()), f.changed
}

// answered notes a follower's answer.
func (f *follower) answered(req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse, sent time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.arrivedLocked()
	if !resp.Success || resp.Term != req.Term {
		f.noteLocked(receipt{})
		return
	}
	l := receipt{
		asked: sent, alive: sent, term: req.Term, prev: req.PrevLogEntry, prevTerm: req.PrevLogTerm, committed: req.LeaderCommitIndex, resp: *resp,
	}
	if n := len(req.Entries); n > 0 {
		l.prev, l.prevTerm = req.Entries[n-1].Index, req.Entries[n-1].Term
	}
	f.noteLocked(l)
}

// forget makes the next question a real one.
func (f *follower) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.noteLocked(receipt{})
}

func (f *follower) noteLocked(l receipt) {
	f.last = l
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}
