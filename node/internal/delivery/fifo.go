package delivery

import "slices"

// fifo is pushes that wait to be sent. Abandoned ones are skipped, not searched for.
type fifo struct {
	pushes []*Push
	head   int
	live   int // that are not abandoned
	bytes  int // of their bodies
}

func (f *fifo) push(p *Push) {
	f.pushes = append(f.pushes, p)
	f.count(p, 1)
}

// peek is the first one; nil: there is none.
func (f *fifo) peek() *Push {
	for f.head < len(f.pushes) {
		if p := f.pushes[f.head]; p.stage == queued {
			return p
		}
		f.drop()
	}
	f.pushes, f.head = f.pushes[:0], 0
	return nil
}

// take removes the one that peek has shown.
func (f *fifo) take() {
	f.count(f.pushes[f.head], -1)
	f.drop()
}

func (f *fifo) drop() {
	f.pushes[f.head] = nil
	f.head++
}

// withdrew tells that one that waits here is about to be settled.
func (f *fifo) withdrew(p *Push) { f.count(p, -1) }

func (f *fifo) count(p *Push, sign int) {
	f.live += sign
	f.bytes += sign * len(p.Body.encoded)
}

// compact lets go of abandoned pushes: a peer that does not read may leave
// nothing else for a long time, and of full queues only the head moves.
func (f *fifo) compact() {
	waiting := len(f.pushes) - f.head
	if waiting > 64 && waiting > 2*f.live {
		f.pushes = slices.DeleteFunc(f.pushes[f.head:], func(p *Push) bool { return p.stage != queued })
		f.head = 0
	} else if f.head > 64 && f.head > len(f.pushes)/2 {
		f.pushes = slices.Delete(f.pushes, 0, f.head)
		f.head = 0
	}
}

func (f *fifo) takeAll() (all []*Push) {
	for p := f.peek(); p != nil; p = f.peek() {
		f.take()
		all = append(all, p)
	}
	return all
}

// find is the newest one that waits and for which is holds; nil: there is none.
func (f *fifo) find(is func(*Push) bool) *Push {
	for _, p := range slices.Backward(f.pushes[f.head:]) {
		if p.stage == queued && is(p) {
			return p
		}
	}
	return nil
}
