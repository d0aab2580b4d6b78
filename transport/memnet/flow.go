package memnet

import (
	"bytes"
	"time"
)

// window is how many bytes a direction takes from its writer before the reader has read any: both sockets' buffers.
const window = 256 << 10

// flow is one direction of a connection. The pair's lock is held around all its methods.
type flow struct {
	pair     *pair
	link     link
	from, to *conn // who writes, who reads

	cut     bool
	flight  []segment // sent and not arrived: for the latency, or held by a cut
	arrival alarm     // for the first in flight
	ready   bytes.Buffer

	charged int // bytes that take up room in the window
	unacked int // those of them that were read, but the writer cannot hear of it: the way back is cut

	finSent, rstSent bool
	fin, rst         bool // arrived at the reader
}

// segment is a run of bytes or, without any, one of the two ends of a stream.
type segment struct {
	kind kind
	data []byte
	due  time.Time
}

type kind uint8

const (
	data  kind = iota
	fin        // no more bytes will come
	reset      // the writer's end does not exist any more
)

func newFlow(p *pair, l link, from, to *conn) *flow {
	f := &flow{pair: p, link: l, from: from, to: to}
	f.arrival.fire = func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		f.deliver()
	}
	return f
}

// room is how many bytes the writer may send now.
func (f *flow) room() int { return window - f.charged }

func (f *flow) sendData(b []byte) {
	f.charged += len(b)
	f.send(segment{kind: data, data: b})
}

func (f *flow) sendFin() {
	if !f.finSent && !f.rstSent {
		f.finSent = true
		f.send(segment{kind: fin})
	}
}

func (f *flow) sendReset() {
	if !f.rstSent {
		f.rstSent = true
		f.send(segment{kind: reset})
	}
}

// send lets a segment arrive at once where it can. The caller keeps the bytes, so one in flight needs a copy.
func (f *flow) send(s segment) {
	trip := f.pair.net.sky.stream(f.link, len(s.data), retransmission)
	if f.cut {
		f.pair.net.sky.touched.Add(1)
	}
	if !f.cut && trip == 0 && len(f.flight) == 0 {
		f.arrive(s)
		return
	}
	s.data = bytes.Clone(s.data)
	s.due = time.Now().Add(trip)
	f.flight = append(f.flight, s)
	f.deliver()
}

// deliver lets everything arrive that is due, in order, and sets the alarm for what is not. A stream does not overtake
// itself: after the latency was lowered the first in flight holds up those behind it.
func (f *flow) deliver() {
	for !f.cut && len(f.flight) > 0 {
		if wait := time.Until(f.flight[0].due); wait > 0 {
			f.arrival.set(wait)
			return
		}
		s := f.flight[0]
		f.flight = f.flight[1:]
		f.arrive(s)
	}
	if len(f.flight) == 0 {
		f.flight = nil // give the array back
	}
}

func (f *flow) arrive(s segment) {
	switch s.kind {
	case data:
		if f.to.closed {
			f.to.out.sendReset() // nobody will read it; the bytes stay charged, a dead peer acknowledges nothing
			return
		}
		f.ready.Write(s.data)
	case fin:
		f.fin = true
	case reset:
		f.rst = true
	}
	f.to.wake.Broadcast()
}

// read takes bytes that arrived. The room they took goes back to the writer, if it can hear of it.
func (f *flow) read(b []byte) int {
	n, _ := f.ready.Read(b) // cannot fail: the caller has looked
	if f.to.out.cut {
		f.unacked += n
		return n
	}
	f.acknowledge(n)
	return n
}

func (f *flow) acknowledge(n int) {
	full := f.room() == 0
	f.charged -= n
	if full && n > 0 { // a writer only waits when there is no room at all
		f.from.wake.Broadcast()
	}
}

func (f *flow) setCut(cut bool) {
	if cut == f.cut {
		return
	}
	f.cut = cut
	if cut {
		return // an alarm that is set finds nothing to deliver
	}
	back := f.from.in // its acknowledgements travelled this way
	back.acknowledge(back.unacked)
	back.unacked = 0
	// What was lost is sent again now.
	soonest := time.Now().Add(f.pair.net.sky.stream(f.link, 0, retransmission))
	for i := range f.flight {
		if f.flight[i].due.Before(soonest) {
			f.flight[i].due = soonest
		}
	}
	f.deliver()
}

// dieInFlight loses what a crashed machine still had to send again. Bytes that were on their way do arrive.
func (f *flow) dieInFlight() {
	if f.cut {
		f.flight = nil
	}
}

// drop frees everything, timers included.
func (f *flow) drop() {
	f.arrival.stop()
	f.flight = nil
	f.ready = bytes.Buffer{}
}
