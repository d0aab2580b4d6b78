package compact

import "sync/atomic"

// Ref is where a block is in a Slab; 0 is nowhere.
type Ref uint32

const (
	// MaxBlock is the most words that a block may have.
	MaxBlock = spanWords

	spanBits  = 10
	spanWords = 1 << spanBits // 4 KiB
	spareFew  = 4             // empty spans that are kept
)

// A span is cut into equal blocks, so the sizes of blocks are what a span can be cut
// into: every size up to 32, and steps of a tenth on average above.
var (
	classes []int                // words, ascending
	classOf [spanWords + 1]uint8 // by the words that are asked for
)

func init() {
	for words := 1; words <= spanWords; words++ {
		size := spanWords / (spanWords / words)
		if len(classes) == 0 || classes[len(classes)-1] != size {
			classes = append(classes, size)
		}
		classOf[words] = uint8(len(classes) - 1)
	}
}

// ClassWords is how many words a block for so many has.
func ClassWords(words int) int { return classes[classOf[words]] }

// Slab is memory for blocks of words. Each span of it holds blocks of one size; when the
// last of them is freed it may hold others, so that what sets have outgrown is not lost.
// One goroutine allocates, frees and writes; others may read blocks meanwhile that are not
// written to. The zero value is empty.
type Slab struct {
	spans atomic.Pointer[[]*[spanWords]uint32] // nil: without memory. The first one is none
	bigs  atomic.Pointer[[]*pages]             // of the big sets in it

	_ [48]byte // or who reads blocks meanwhile would wait for the memory of what follows

	states   []span
	partial  [64]uint32 // by class: the first span that has room, or 0
	empty    []uint32   // spans with memory that nobody uses
	vacant   []uint32   // without
	held     int        // spans with memory
	freeBigs []Ref
}

type span struct {
	class      uint8
	live       uint16 // blocks
	used       uint16 // words that were ever given
	free       uint16 // where the first freed block is, plus 1; each holds the next one
	next, prev uint32 // with room, of the class
}

// Size is how many bytes the slab holds.
func (s *Slab) Size() int { return s.held*4*spanWords + cap(s.states)*32 }

// Alloc gives a block of at least so many words, 1 to MaxBlock, with anything in it.
func (s *Slab) Alloc(words int) Ref {
	class := classOf[words]
	n := s.partial[class]
	if n == 0 {
		n = s.begin(class)
	}
	sp := &s.states[n]
	at := uint32(sp.used)
	if sp.free != 0 {
		at = uint32(sp.free) - 1
		sp.free = uint16(s.span(n)[at])
	} else {
		sp.used += uint16(classes[class])
	}
	if sp.live++; int(sp.live) == spanWords/classes[class] {
		s.unlist(n)
	}
	return Ref(n<<spanBits | at)
}

// Free takes a block back.
func (s *Slab) Free(r Ref) {
	n, at := uint32(r)>>spanBits, uint32(r)&(spanWords-1)
	sp := &s.states[n]
	if int(sp.live) == spanWords/classes[sp.class] {
		s.list(n)
	}
	s.span(n)[at] = uint32(sp.free)
	sp.free = uint16(at + 1)
	if sp.live--; sp.live == 0 {
		s.unlist(n)
		s.end(n)
	}
}

// Words is how many words a block really has.
func (s *Slab) Words(r Ref) int { return classes[s.states[r>>spanBits].class] }

// Word is one of a block.
func (s *Slab) Word(r Ref, at int) *uint32 {
	return &s.span(uint32(r) >> spanBits)[int(r&(spanWords-1))+at]
}

// Span is where it is kept what Words needs, and Free.
func (s *Slab) Span(r Ref) *uint32 { return &s.states[r>>spanBits].next }

// Block is a block, or the first words of it.
func (s *Slab) Block(r Ref, words int) []uint32 {
	at := int(r & (spanWords - 1))
	return s.span(uint32(r) >> spanBits)[at : at+words : at+words]
}

// span is the memory of one. Without the comparison Go would read its first byte to see
// whether it is nil: from memory, mostly, where nobody needs it.
func (s *Slab) span(n uint32) *[spanWords]uint32 {
	if sp := (*s.spans.Load())[n]; sp != nil {
		return sp
	}
	panic("compact: a block that is not there")
}

// begin makes a span for a class.
func (s *Slab) begin(class uint8) uint32 {
	var n uint32
	if last := len(s.empty) - 1; last >= 0 {
		n, s.empty = s.empty[last], s.empty[:last]
	} else {
		n = s.number()
		(*s.spans.Load())[n] = new([spanWords]uint32)
		s.held++
	}
	s.states[n] = span{class: class}
	s.list(n)
	return n
}

// number is one of a span without memory.
func (s *Slab) number() uint32 {
	if last := len(s.vacant) - 1; last >= 0 {
		n := s.vacant[last]
		s.vacant = s.vacant[:last]
		return n
	}
	if s.spans.Load() == nil {
		s.spans.Store(&[]*[spanWords]uint32{nil}) // no block has the Ref 0
		s.states = append(s.states, span{})
	}
	spans := append(*s.spans.Load(), nil)
	s.spans.Store(&spans)
	s.states = append(s.states, span{})
	return uint32(len(spans) - 1)
}

// end gives the memory of an empty span back, but for a few.
func (s *Slab) end(n uint32) {
	if len(s.empty) < spareFew {
		s.empty = append(s.empty, n)
		return
	}
	(*s.spans.Load())[n] = nil
	s.held--
	s.vacant = append(s.vacant, n)
}

func (s *Slab) list(n uint32) {
	sp := &s.states[n]
	sp.prev, sp.next = 0, s.partial[sp.class]
	if sp.next != 0 {
		s.states[sp.next].prev = n
	}
	s.partial[sp.class] = n
}

func (s *Slab) unlist(n uint32) {
	sp := &s.states[n]
	if sp.prev != 0 {
		s.states[sp.prev].next = sp.next
	} else {
		s.partial[sp.class] = sp.next
	}
	if sp.next != 0 {
		s.states[sp.next].prev = sp.prev
	}
}

// addBig keeps the pages of a big set.
func (s *Slab) addBig(p *pages) Ref {
	var bigs []*pages
	if list := s.bigs.Load(); list != nil {
		bigs = *list
	}
	if last := len(s.freeBigs) - 1; last >= 0 {
		n := s.freeBigs[last]
		s.freeBigs = s.freeBigs[:last]
		bigs[n] = p
		return n
	}
	bigs = append(bigs, p)
	s.bigs.Store(&bigs)
	return Ref(len(bigs) - 1)
}

func (s *Slab) dropBig(n Ref) {
	(*s.bigs.Load())[n] = nil
	s.freeBigs = append(s.freeBigs, n)
}
