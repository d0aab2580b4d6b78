package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/transport/peerpb"
)

// link is the way of one outbox to one leader: over a stream, or within this
// process. It is used until the first sign that something may have been lost, and
// then never again.
type link struct {
	send    func(*batch) error // may block while the leader does not read; not after its context's end
	over    context.CancelFunc // ends it, also from within an answer
	readers sync.WaitGroup

	// Guarded by outbox.mu.
	progress bool      // an answer was final
	heard    time.Time // the last answer
	failed   bool      // nothing more is sent on it; it ends when what was sent is answered
}

// open connects l with the leader there is now. answer is called for each answer
// until ctx ends, at which l is over, and by one goroutine at a time.
func (r *leaderRoute) open(ctx context.Context, l *link, answer func(*peerpb.WriteResponse)) error {
	id, addr := r.consensus.Leader()
	switch id {
	case "":
		return ErrNoLeader
	case r.nodeID:
		l.send = func(b *batch) error {
			r.desk.submit(slip{ctx: ctx, number: b.number, data: b.data, answer: answer})
			return nil
		}
		return nil
	}
	client, err := r.peers.client(addr)
	if err != nil {
		return err
	}
	stream, err := client.Forward(ctx)
	if err != nil {
		return fmt.Errorf("open a stream to the leader: %w", err)
	}
	l.send = func(b *batch) error { return stream.Send(&peerpb.WriteRequest{Number: b.number, Batch: b.data}) }
	l.readers.Go(func() {
		defer l.over()
		for {
			resp, err := stream.Recv()
			if err != nil {
				return
			}
			answer(resp)
		}
	})
	return nil
}
