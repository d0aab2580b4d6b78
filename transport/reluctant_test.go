package transport

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// twoTransports are connected by real streams; stands is of b.
func twoTransports(t *testing.T) (a raft.WithPreVote, orders func(*raft.TimeoutNowResponse) error, b *Reluctant, stands *atomic.Bool) {
	t.Helper()
	over := func(id string) (*Port, *raft.NetworkTransport) {
		p, _ := serve(t, Options{NodeID: id})
		n := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{Stream: p.Raft(), MaxPool: 1, Timeout: soon, Logger: hclog.NewNullLogger()})
		t.Cleanup(func() { _ = n.Close() })
		return p, n
	}
	_, from := over("a")
	to, inner := over("b")
	stands = new(atomic.Bool)
	b = NewReluctant(inner, stands.Load)
	t.Cleanup(b.End)
	return from, func(resp *raft.TimeoutNowResponse) error {
		return from.TimeoutNow("b", RaftAddress("b", to.Addr()), &raft.TimeoutNowRequest{}, resp)
	}, b, stands
}

func TestReluctant_RefusesToBeElected(t *testing.T) {
	_, order, b, stands := twoTransports(t)
	err := order(new(raft.TimeoutNowResponse))
	if err == nil || err.Error() != ErrReluctant.Error() {
		t.Errorf("an order to stand for election: %v", err)
	}
	vote := b.RequestVote("a", "", &raft.RequestVoteRequest{}, nil)
	pre := b.RequestPreVote("a", "", &raft.RequestPreVoteRequest{}, nil)
	if !errors.Is(vote, ErrReluctant) || !errors.Is(pre, ErrReluctant) {
		t.Errorf("its requests for votes: %v, %v", vote, pre)
	}
	if strings.Contains(ErrReluctant.Error(), "unexpected command") {
		t.Error("Raft takes such an answer to a pre-vote for a vote")
	}
	stands.Store(true)
	done := make(chan error, 1)
	go func() { done <- order(new(raft.TimeoutNowResponse)) }()
	rpc := <-b.Consumer()
	rpc.Respond(&raft.TimeoutNowResponse{}, nil)
	if err := <-done; err != nil {
		t.Errorf("an order to who would lead: %v", err)
	}
}

// Whoever waits for an answer gets one, and nothing is left behind.
func TestReluctant_EndAnswersWhatIsUnderWay(t *testing.T) {
	_, order, b, stands := twoTransports(t)
	stands.Store(true)
	done := make(chan error, 1)
	go func() { done <- order(new(raft.TimeoutNowResponse)) }()
	b.End() // before the order came, or while nobody takes it
	b.End()
	select {
	case err := <-done:
		if err == nil {
			t.Error("no error")
		}
	default: // it waits for a Raft that is gone; the transport's Close ends that
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Raft must find what it looks for by type assertion.
func TestReluctant_OffersPreVoteThroughQuietRaft(t *testing.T) {
	_, _, b, _ := twoTransports(t)
	q := QuietRaft(b)
	if _, ok := q.(RaftTransport); !ok {
		t.Errorf("%T has no pre-vote or no Close", q)
	}
}
