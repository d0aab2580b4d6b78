package transport

import (
	"errors"
	"sync"

	"github.com/hashicorp/raft"
)

// ErrReluctant is what a node's Raft, and whoever wants to hand leadership to it, hears
// while the node does not want to lead.
var ErrReluctant = errors.New("this node does not want to lead at present")

// Reluctant keeps a node from being elected while that says so: its requests for
// votes fail here, at the pre-vote, so that its term does not grow either. And an order
// to stand for election at once, TimeoutNow, is answered with an error, upon which the
// leader that gave it goes on leading. The node votes for others as ever.
//
// Orders are taken out of the stream of requests on their way to Raft, by one
// goroutine, which ends with Close.
type Reluctant struct {
	RaftTransport
	stands func() bool // called concurrently; must not block

	requests chan raft.RPC
	closed   chan struct{}
	once     sync.Once
	group    sync.WaitGroup
}

// NewReluctant asks stands each time whether this node may be elected.
func NewReluctant(t RaftTransport, stands func() bool) *Reluctant {
	r := &Reluctant{RaftTransport: t, stands: stands, requests: make(chan raft.RPC), closed: make(chan struct{})}
	r.group.Go(r.sort)
	return r
}

// sort passes requests on.
func (r *Reluctant) sort() {
	in := r.RaftTransport.Consumer()
	for {
		select {
		case rpc := <-in:
			if _, ok := rpc.Command.(*raft.TimeoutNowRequest); ok && !r.stands() {
				rpc.Respond(&raft.TimeoutNowResponse{}, ErrReluctant)
				continue
			}
			select {
			case r.requests <- rpc:
			case <-r.closed:
				rpc.Respond(nil, raft.ErrTransportShutdown)
				return
			}
		case <-r.closed:
			return
		}
	}
}

// Consumer implements raft.Transport.
func (r *Reluctant) Consumer() <-chan raft.RPC { return r.requests }

// RequestVote implements raft.Transport.
func (r *Reluctant) RequestVote(id raft.ServerID, addr raft.ServerAddress, req *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	if !r.stands() {
		return ErrReluctant
	}
	return r.RaftTransport.RequestVote(id, addr, req, resp)
}

// RequestPreVote implements raft.WithPreVote.
func (r *Reluctant) RequestPreVote(id raft.ServerID, addr raft.ServerAddress, req *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	if !r.stands() {
		return ErrReluctant
	}
	return r.RaftTransport.RequestPreVote(id, addr, req, resp)
}

// Close implements raft.WithClose.
func (r *Reluctant) Close() error {
	r.End()
	return r.RaftTransport.Close()
}

// End stops passing requests on; for who closes the transport below by himself.
func (r *Reluctant) End() {
	r.once.Do(func() { close(r.closed) })
	r.group.Wait()
}
