package transport

import "github.com/hashicorp/raft"

// QuietRaft returns t without its fast path for heartbeats. Raft would handle
// these on the transport's goroutines, where they may change its term and state
// beside its main loop (hashicorp/raft issue 695: two leaders in one term were
// seen). Without a handler they take the main loop, and wait behind fsync.
//
// Pre-vote and Close go on working: raft finds both by type assertion, which an
// embedded interface would hide.
func QuietRaft(t raft.Transport) raft.Transport {
	q := quiet{t}
	if p, ok := t.(raft.WithPreVote); ok {
		return struct {
			quiet
			raft.WithPreVote
		}{q, p}
	}
	return q
}

type quiet struct{ raft.Transport }

// SetHeartbeatHandler implements raft.Transport and does nothing.
func (quiet) SetHeartbeatHandler(func(raft.RPC)) {}

// Close implements raft.WithClose.
func (q quiet) Close() error {
	if c, ok := q.Transport.(raft.WithClose); ok {
		return c.Close()
	}
	return nil
}
