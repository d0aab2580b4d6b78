package compact

import "iter"

// Set is a set of uint32 keys, 0 is none, each with a value that costs nothing while
// all of them are 0. The storage is in a Slab, the same one for every call.
//
// Up to few keys are a list. More are a hash table that fills its block to six
// sevenths at most; more than one block holds are many such pages, each for a range of
// the hash, so that no call touches more than a page. The zero value is empty.
//
// It is 12 bytes: a big one is a page that is none, and its number among the slab's big
// sets.
type Set struct{ page }

const isBig = 1<<16 - 1 // as the words of a page

func (s *Set) big(mem *Slab) *pages {
	if s.words != isBig {
		return nil
	}
	return (*mem.bigs.Load())[s.keys]
}

const (
	few       = 16           // keys of a list
	pageWords = MaxBlock / 2 // of a page at most, so that its values are one block too
	pageLimit = pageWords * 6 / 7
	pageMerge = pageWords / 4 // pages are given up at this
	mix       = 0x9E3779B1    // odd: a bijection modulo 2^32
)

// Order is the position of a key in the order of Scan.
func Order(key uint32) uint64 { return uint64(hash(key)) }

func hash(key uint32) uint32 {
	h := key * mix
	return h ^ h>>16 // bijective too: pages go by the upper bits, slots by all
}

// page is a list or a hash table.
type page struct {
	keys   Ref
	values Ref // two words each, lower half first; 0: all are 0
	n      uint16
	words  uint16 // of keys
}

// Len is the number of keys.
func (s *Set) Len(mem *Slab) int {
	if big := s.big(mem); big != nil {
		return big.n
	}
	return int(s.n)
}

// Empty says that there is no key.
func (s *Set) Empty() bool { return s.words == 0 }

func (s *Set) of(mem *Slab, key uint32) *page {
	if big := s.big(mem); big != nil {
		return big.of(hash(key))
	}
	return &s.page
}

// Get is the value of a key.
func (s *Set) Get(mem *Slab, key uint32) (value uint64, ok bool) {
	p := s.of(mem, key)
	at, ok := p.find(mem, key)
	if !ok || p.values == 0 {
		return 0, ok
	}
	return p.value(mem, at), true
}

// Slots is where a key is or would be: about from one word of a block to another. 0 is
// nowhere.
func (s *Set) Slots(mem *Slab, key uint32) (r Ref, from, to int) {
	p := s.of(mem, key)
	switch {
	case p.words == 0:
		return 0, 0, 0
	case p.list():
		return p.keys, 0, int(p.words) - 1
	}
	at := start(key, int(p.words))
	return p.keys, at, min(at+2, int(p.words)-1)
}

// Put sets the value of a key, and says whether the key is new.
func (s *Set) Put(mem *Slab, key uint32, value uint64) (added bool) {
	p := s.of(mem, key)
	if at, ok := p.find(mem, key); ok {
		p.setValue(mem, at, value)
		return false
	}
	if p.n == pageLimit {
		if big := s.big(mem); big != nil {
			big.split(mem, hash(key))
		} else {
			s.page = page{keys: mem.addBig(newPages(mem, &s.page)), words: isBig}
		}
		return s.Put(mem, key, value)
	}
	p.add(mem, key, value)
	if big := s.big(mem); big != nil {
		big.n++
	}
	return true
}

// Delete takes a key out, and says whether it was there.
func (s *Set) Delete(mem *Slab, key uint32) bool {
	p := s.of(mem, key)
	at, ok := p.find(mem, key)
	if !ok {
		return false
	}
	p.remove(mem, at)
	big := s.big(mem)
	if big == nil {
		return true
	}
	if big.n--; big.n <= pageMerge {
		mem.dropBig(s.keys)
		s.page = big.merge(mem)
	}
	return true
}

// Clear takes all keys out.
func (s *Set) Clear(mem *Slab) {
	if big := s.big(mem); big != nil {
		for p := range big.all() {
			p.free(mem)
		}
		mem.dropBig(s.keys)
		s.page = page{}
	}
	s.page.free(mem)
}

// All are the keys and values. The set must not change meanwhile.
func (s *Set) All(mem *Slab) iter.Seq2[uint32, uint64] {
	return func(yield func(uint32, uint64) bool) {
		big := s.big(mem)
		if big == nil {
			s.page.each(mem, yield)
			return
		}
		for p := range big.all() {
			if !p.each(mem, yield) {
				return
			}
		}
	}
}

// AppendKeys appends the keys.
func (s *Set) AppendKeys(mem *Slab, dst []uint32) []uint32 {
	big := s.big(mem)
	if big == nil {
		return s.page.appendKeys(mem, dst)
	}
	for p := range big.all() {
		dst = p.appendKeys(mem, dst)
	}
	return dst
}

// Valued says that a value may be other than 0.
func (s *Set) Valued(mem *Slab) bool {
	big := s.big(mem)
	if big == nil {
		return s.values != 0
	}
	for p := range big.all() {
		if p.values != 0 {
			return true
		}
	}
	return false
}

// Scan visits the keys whose Order is at least from and below next, in any order. It
// visits about max of them, and up to a page more, so a set of one page is visited in one
// go. The set may change in any way between two calls: who is in it throughout is
// visited once. After the end next is 1<<32.
func (s *Set) Scan(mem *Slab, from uint64, max int, visit func(key uint32, value uint64)) (next uint64, done bool) {
	take := func(key uint32, value uint64) bool {
		if Order(key) >= from {
			visit(key, value)
			max--
		}
		return true
	}
	big := s.big(mem)
	if big == nil {
		s.page.each(mem, take)
		return 1 << 32, true
	}
	for at := from; at < 1<<32; {
		p, end := big.at(uint32(at))
		p.each(mem, take)
		if at = end; max <= 0 {
			return at, at == 1<<32
		}
	}
	return 1 << 32, true
}
