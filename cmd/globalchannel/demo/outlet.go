package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// outlet is a child's stdout: a bounded queue and one writer. Who sends waits for
// room, so only players and the child's own loop may send; a push handler, which
// runs inside the node, must not.
type outlet struct {
	w     io.Writer
	queue chan report
	quit  chan struct{}
	once  sync.Once
	done  chan struct{} // closed when the writer has ended
	err   error         // why the writer ended; valid once done is closed
}

func newOutlet(w io.Writer) *outlet {
	o := &outlet{w: w, queue: make(chan report, 4*maxOps), quit: make(chan struct{}), done: make(chan struct{})}
	go o.run()
	return o
}

// send queues r. It fails when ctx ends first or nobody reads any more.
func (o *outlet) send(ctx context.Context, r report) error {
	select {
	case o.queue <- r:
		return nil
	case <-o.done:
		return fmt.Errorf("send report: %w", o.err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close writes what is queued and waits for the writer.
func (o *outlet) Close() error {
	o.once.Do(func() { close(o.quit) })
	<-o.done
	if errors.Is(o.err, errOutletClosed) {
		return nil
	}
	return o.err
}

var errOutletClosed = errors.New("outlet closed")

// run numbers the operations and joins those that wait into one line, so that a
// busy child does not pay a system call for each.
func (o *outlet) run() {
	defer close(o.done)
	var seq uint64
	enc := json.NewEncoder(o.w)
	for {
		var r report
		select {
		case r = <-o.queue:
		case <-o.quit:
			select {
			case r = <-o.queue:
			default:
				o.err = errOutletClosed
				return
			}
		}
		for _, line := range o.gather(r) {
			for i := range line.Ops {
				seq++
				line.Ops[i].Seq = seq
			}
			if line.Settled != nil {
				line.Settled.Ops = seq
			}
			if o.err = enc.Encode(line); o.err != nil {
				return
			}
		}
	}
}

// gather takes what waits behind first, without waiting itself, and merges
// neighbouring operations. The order of reports is kept.
func (o *outlet) gather(first report) []report {
	lines := []report{first}
	for len(lines) < 16 {
		select {
		case r := <-o.queue:
			last := &lines[len(lines)-1]
			if r.Ops != nil && last.Ops != nil && len(last.Ops) < maxOps {
				last.Ops = append(last.Ops, r.Ops...)
			} else {
				lines = append(lines, r)
			}
		default:
			return lines
		}
	}
	return lines
}
