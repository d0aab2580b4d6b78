package transport

import (
	"time"

	"github.com/hashicorp/raft"
)

// idleAnswer is how long a follower's answer stands for the next ones to the same
// question.
//
// Raft repeats an empty AppendEntries to every follower each CommitTimeout, so
// that it hears of a commit; where nothing has changed since its last answer, the
// Courier answers for it, and 50 idle replicas cost next to nothing.
//
// The leader takes such an answer for a sign of life: its lease may run idleAnswer
// longer than it should. A follower does not vote for another before an election
// timeout has passed since it really heard from the leader, so lease + idleAnswer
// (350 + 50 ms) must stay below that (700 ms). It is counted from when the question
// was sent.
const idleAnswer = 50 * time.Millisecond

// receipt is the last answer of a follower that had all it was sent.
type receipt struct {
	sent      time.Time // when the question was
	term      uint64
	prev      uint64 // index and term of its last entry
	prevTerm  uint64
	committed uint64 // as it was told
	resp      raft.AppendEntriesResponse
}

// answered notes a follower's answer.
func (f *follower) answered(req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse, sent time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.arrivedLocked()
	f.last = receipt{}
	if !resp.Success || resp.Term != req.Term {
		return
	}
	f.last = receipt{
		sent: sent, term: req.Term, prev: req.PrevLogEntry, prevTerm: req.PrevLogTerm, committed: req.LeaderCommitIndex, resp: *resp,
	}
	if n := len(req.Entries); n > 0 {
		f.last.prev, f.last.prevTerm = req.Entries[n-1].Index, req.Entries[n-1].Term
	}
}

// answerIdle answers in the follower's place, if it may.
func (f *follower) answerIdle(req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse, now time.Time) bool {
	if len(req.Entries) > 0 {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	l := &f.last
	if now.Sub(l.sent) >= idleAnswer || l.term != req.Term || l.prev != req.PrevLogEntry || l.prevTerm != req.PrevLogTerm || l.committed != req.LeaderCommitIndex {
		return false
	}
	*resp = l.resp
	return true
}

// forget makes the next question a real one.
func (f *follower) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = receipt{}
}
