package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

const (
	maxEntryBytes = 256 << 10 // of one log entry: heartbeats wait behind it
	maxDeskBytes  = 16 << 20  // of waiting batches; then streams are not read from
	// proposalTimeout is when an entry is given up as of unknown fate. Raft may never
	// answer for one (raft#145, raft#498); the batches' origins send them again.
	proposalTimeout = 10 * time.Second
)

// desk is where batches of all origins become log entries: it packs what waits
// while the entry before is on its way. One at a time: on a shared disk a second
// small one would only make both half as full, and a second one of 96 KiB or more
// was measured to make no difference. On a node that does not lead, Raft refuses and
// so does the desk.
type desk struct {
	propose func(ctx context.Context, entry []byte) (fsm.Result, peerpb.Disposition, error)
	level   func() uint32 // of the entries that may be written

	mu      sync.Mutex // guards all below
	slips   []slip
	bytes   int // in slips
	readers []chan<- *peerpb.ReadIndexResponse
	wake    chan struct{}
	room    chan struct{} // closed and replaced when slips become fewer
}

// slip is a batch that waits for its entry.
type slip struct {
	ctx    context.Context // of the link that it came on; when that is over, nobody waits for the answer
	number uint64
	data   []byte
	answer func(*peerpb.WriteResponse)
}

func newDesk(propose func(context.Context, []byte) (fsm.Result, peerpb.Disposition, error), level func() uint32) *desk {
	return &desk{propose: propose, level: level, wake: make(chan struct{}, 1), room: make(chan struct{})}
}

// submit puts a batch on the desk. Its answer is called once, unless its context
// ends before, and must not block. The order of submits is kept.
func (d *desk) submit(s slip) {
	head, err := fsm.CheckBatch(s.data)
	if level := d.level(); err == nil && head.Level > level {
		err = fmt.Errorf("an operation needs level %d, and not every server is known to have that: the cluster is at %d", head.Level, level)
	}
	if size := len(s.data) + slipOverhead; err == nil && size > maxEntryBytes {
		err = fmt.Errorf("%d bytes are more than an entry may have", size)
	}
	if err != nil {
		// In the log it would halt every replica.
		s.answer(&peerpb.WriteResponse{Number: s.number, Disposition: peerpb.Disposition_DISPOSITION_REFUSED, Reason: err.Error()})
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slips = append(d.slips, s)
	d.bytes += len(s.data)
	d.signal()
}

// readIndex waits for the index of a command that is appended from now on and
// committed in this node's term. At it everything is visible that was acknowledged
// anywhere before. All who wait share one.
func (d *desk) readIndex(ctx context.Context) *peerpb.ReadIndexResponse {
	done := make(chan *peerpb.ReadIndexResponse, 1)
	d.mu.Lock()
	d.readers = append(d.readers, done)
	d.signal()
	d.mu.Unlock()
	select {
	case resp := <-done:
		return resp
	case <-ctx.Done():
		return &peerpb.ReadIndexResponse{Disposition: peerpb.Disposition_DISPOSITION_UNKNOWN, Reason: ended(ctx).Error()}
	}
}

// signal runs with mu held.
func (d *desk) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// run makes entries until ctx ends. What is left then is answered by the end of
// its links.
func (d *desk) run(ctx context.Context) {
	for {
		select {
		case <-d.wake:
		case <-ctx.Done():
			return
		}
		for {
			slips, readers := d.take()
			if len(slips)+len(readers) == 0 || ctx.Err() != nil {
				break
			}
			d.commit(ctx, slips, readers)
		}
	}
}

// take removes what fits into one entry, and all who wait for a read index.
func (d *desk) take() ([]slip, []chan<- *peerpb.ReadIndexResponse) {
	d.mu.Lock()
	defer d.mu.Unlock()
	// The answers of a link that is over are ignored, and its batches come again.
	d.slips = slices.DeleteFunc(d.slips, func(s slip) bool { return s.ctx.Err() != nil })
	n, size := 0, 0
	for n < len(d.slips) && (n == 0 || size+len(d.slips[n].data)+slipOverhead <= maxEntryBytes) {
		size += len(d.slips[n].data) + slipOverhead
		n++
	}
	taken := slices.Clone(d.slips[:n])
	d.slips = slices.Delete(d.slips, 0, n)
	d.bytes = 0
	for _, s := range d.slips {
		d.bytes += len(s.data)
	}
	close(d.room)
	d.room = make(chan struct{})
	readers := d.readers
	d.readers = nil
	return taken, readers
}

// slipOverhead is what an entry adds to a batch at most.
const slipOverhead = 16

func (d *desk) commit(ctx context.Context, slips []slip, readers []chan<- *peerpb.ReadIndexResponse) {
	ctx, cancel := context.WithTimeout(ctx, proposalTimeout)
	defer cancel()
	batches := make([][]byte, len(slips))
	for i, s := range slips {
		batches[i] = s.data
	}
	result, disposition, err := d.propose(ctx, fsm.AppendBatches(nil, d.level(), batches...))
	reason := ""
	if err != nil {
		reason = err.Error()
	}
	for i, s := range slips {
		resp := &peerpb.WriteResponse{Number: s.number, Disposition: disposition, Reason: reason}
		if disposition == peerpb.Disposition_DISPOSITION_APPLIED {
			b := result.Batches[i]
			// Of a repeated batch the index is where it took effect, not where it was repeated.
			resp.Index, resp.Results, resp.Batch = b.Index, b.Results, uint32(b.Outcome)
		}
		s.answer(resp) // also on a link that is over: its end may be due to an answer before this one
	}
	for _, r := range readers {
		r <- &peerpb.ReadIndexResponse{Disposition: disposition, Index: result.Index, Reason: reason}
	}
}

// admit waits until there is room for the batches of a stream.
func (d *desk) admit(ctx context.Context) error {
	for {
		d.mu.Lock()
		full, room := d.bytes >= maxDeskBytes, d.room
		d.mu.Unlock()
		if !full {
			return nil
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ended(ctx)
		}
	}
}

var errUnanswered = errors.New("more batches without an answer than an origin may have")

// serve is the leader's end of a Forward stream.
func (d *desk) serve(stream peerpb.Peer_ForwardServer) error {
	ctx, cancel := context.WithCancelCause(stream.Context())
	answers := make(chan *peerpb.WriteResponse, fsm.Window)
	var sender sync.WaitGroup
	sender.Go(func() {
		for {
			select {
			case resp := <-answers:
				if err := stream.Send(resp); err != nil {
					cancel(err)
					return
				}
			case <-ctx.Done():
				return
			}
		}
	})
	defer sender.Wait()
	defer cancel(nil)
	for {
		if err := d.admit(ctx); err != nil {
			return err
		}
		req, err := stream.Recv()
		if err != nil {
			return err
		}
		d.submit(slip{ctx: ctx, number: req.GetNumber(), data: req.GetBatch(), answer: func(resp *peerpb.WriteResponse) {
			select {
			case answers <- resp:
			default: // never hold up the others for it
				cancel(errUnanswered)
			}
		}})
		if ctx.Err() != nil {
			return status.Error(codes.ResourceExhausted, context.Cause(ctx).Error())
		}
	}
}
