package main

import (
	"fmt"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

const (
	// A push is chunked because its uids do not fit into one message; chunks of
	// several pushes may mix. What is open at once is bounded: a server that
	// starts pushes and never ends them must not fill our memory.
	maxOpen  = 256
	maxBytes = 64 << 20
)

// reassembly joins the chunks of pushes. Not for concurrent use.
type reassembly struct {
	open  map[uint64]*pb.PushDelivery
	bytes int // of the uids in open
}

func newReassembly() *reassembly {
	return &reassembly{open: make(map[uint64]*pb.PushDelivery)}
}

// add takes one chunk and returns the push if it is now whole.
func (r *reassembly) add(d *pb.PushDelivery) (*pb.PushDelivery, error) {
	first, found := r.open[d.Id]
	if !found {
		if !d.More {
			return d, nil
		}
		if len(r.open) == maxOpen {
			return nil, fmt.Errorf("the server sent the beginning of more than %d pushes", maxOpen)
		}
		first = d
		r.open[d.Id] = d
		r.bytes += len(d.Msg)
	} else {
		first.Uids = append(first.Uids, d.Uids...)
	}
	r.bytes += size(d.Uids)
	if r.bytes > maxBytes {
		return nil, fmt.Errorf("the server sent more than %d MiB of unfinished pushes", maxBytes>>20)
	}
	if d.More {
		return nil, nil
	}
	delete(r.open, d.Id)
	r.bytes -= size(first.Uids) + len(first.Msg)
	return first, nil
}

// size counts a string's header too: empty uids are not free.
func size(uids []string) int {
	n := 0
	for _, u := range uids {
		n += len(u) + 16
	}
	return n
}
