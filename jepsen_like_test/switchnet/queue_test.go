package switchnet

import (
	"testing"
	"time"
)

func TestQueue_HandsOverInTheOrderOfArrival(t *testing.T) {
	q, l := newQueue(), new(link)
	for i, due := range []time.Duration{30, 10, 20, 10} {
		if !q.push(l, nil, []byte{byte(i)}, due) {
			t.Fatal("no room")
		}
	}
	if p, wait := q.pop(5); p != nil || wait != 5 {
		t.Errorf("before anything is due: got %v, %v; want to wait for 5", p, wait)
	}
	var got []byte
	for {
		p, _ := q.pop(20)
		if p == nil {
			break
		}
		got = append(got, p.data[:p.size]...)
	}
	if string(got) != "\x01\x03\x02" {
		t.Errorf("at 20 there came %v, want 1, 3 and 2", got)
	}
}

// What a link can't hold is lost, and others do not pay for it.
func TestQueue_RoomIsBoundedByLink(t *testing.T) {
	q, full, other := newQueue(), new(link), new(link)
	for i := range room {
		if !q.push(full, nil, nil, time.Duration(i)) {
			t.Fatalf("no room for packet %d", i)
		}
	}
	if q.push(full, nil, nil, 0) {
		t.Error("a packet too many was taken")
	}
	if !q.push(other, nil, nil, 0) {
		t.Error("no room on another link")
	}
}

// A packet that is due sooner than all others is not late because of them.
func TestQueue_IsWokenByASoonerPacket(t *testing.T) {
	q, l := newQueue(), new(link)
	stop, ended := make(chan struct{}), make(chan struct{})
	arrived := make(chan byte, 2)
	start := time.Now()
	q.push(l, nil, []byte{1}, time.Hour)
	go func() {
		defer close(ended)
		q.run(stop, func() time.Duration { return time.Since(start) }, func(p *packet) { arrived <- p.data[0] })
	}()
	q.push(l, nil, []byte{2}, time.Millisecond)
	select {
	case got := <-arrived:
		if got != 2 {
			t.Errorf("packet %d came, want 2", got)
		}
	case <-time.After(10 * time.Second):
		t.Error("the sooner packet did not come")
	}
	close(stop)
	<-ended
	if got := l.waiting.Load(); got != 1 {
		t.Errorf("%d packets are under way, want 1", got)
	}
}
