package fsm

// notes keep what was said of a key first. Most are of one or two keys.
type notes[K comparable, V any] struct {
	list []noted[K, V]
	at   map[K]int // in the list, if that is long
}

type noted[K comparable, V any] struct {
	key K
	was V
}

// fewNotes is how many are looked through.
const fewNotes = 16

// of is what was noted of a key, or nil.
func (n *notes[K, V]) of(k K) *V {
	if n.at != nil {
		if i, ok := n.at[k]; ok {
			return &n.list[i].was
		}
		return nil
	}
	for i := range n.list {
		if n.list[i].key == k {
			return &n.list[i].was
		}
	}
	return nil
}

// note adds a key that is not there.
func (n *notes[K, V]) note(k K, was V) { *n.add(k) = was }

// add is note for what is filled in: it may be what was cleared, with its memory.
func (n *notes[K, V]) add(k K) *V {
	last := len(n.list)
	if last < cap(n.list) {
		n.list = n.list[:last+1]
	} else {
		n.list = append(n.list, noted[K, V]{})
	}
	n.list[last].key = k
	if last >= fewNotes {
		n.index(k, last)
	}
	return &n.list[last].was
}

func (n *notes[K, V]) index(k K, last int) {
	if n.at == nil {
		n.at = make(map[K]int)
		for i := range n.list {
			n.at[n.list[i].key] = i
		}
	}
	n.at[k] = last
}

// clear forgets all, and keeps the memory of a few.
func (n *notes[K, V]) clear() {
	n.at = nil
	if n.list = n.list[:0]; cap(n.list) > fewNotes {
		n.list = nil
	}
}
