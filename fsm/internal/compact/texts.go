package compact

import (
	"bytes"
	"hash/maphash"
	"sync/atomic"
)

// MaxTexts is how many a Texts can hold: the index keeps the id in so many bits.
const MaxTexts = 1<<idBits - 1

const (
	idBits  = 26
	idMask  = 1<<idBits - 1
	tagMask = ^uint32(idMask)

	recordBits = 7 // records in a chunk
	recordMask = 1<<recordBits - 1
)

// Texts gives byte strings of 1 to 255 bytes small numbers, from 1 on, and keeps a word
// of data with each. Ids of texts that are gone are used again.
//
// One goroutine changes it. Meanwhile others may call Text for ids that stay, and the
// other reads while nothing is added or removed.
type Texts struct {
	index   []uint32 // open addressing: an id, and above it bits of the hash; 0: free
	n       int      // in the index
	seed    maphash.Seed
	mem     *Slab
	records atomic.Pointer[[]*[1 << recordBits]record]
	next    uint32   // the smallest id that was never used, less 1
	free    []uint32 // ids
	age     uint32
}

type record struct {
	text Ref
	data uint32
}

// NewTexts keeps its texts in a slab that others may use too, and finds them by their
// Hash with the seed. Who chooses texts must not know it, or could choose those that
// collide.
func NewTexts(mem *Slab, seed maphash.Seed) *Texts { return &Texts{mem: mem, seed: seed, age: 1} }

// Hash is what a text is found by.
func Hash(seed maphash.Seed, text []byte) uint64 { return maphash.Bytes(seed, text) }

// HashString is the Hash of a string.
func HashString(seed maphash.Seed, text string) uint64 { return maphash.String(seed, text) }

// Age is never 0, and another one after each text that is added, or not found any more:
// what Find says lasts as long.
func (t *Texts) Age() uint32 { return t.age }

// Follow makes the texts older than those that they take the place of.
func (t *Texts) Follow(old *Texts) {
	t.age = old.age
	t.older()
}

// Len is how many texts can be found.
func (t *Texts) Len() int { return t.n }

// Cap is above all ids that were ever given.
func (t *Texts) Cap() uint32 { return t.next + 1 }

// Size is how many bytes it holds beside the slab.
func (t *Texts) Size() int {
	n := 4*cap(t.index) + 4*cap(t.free)
	if p := t.records.Load(); p != nil {
		n += len(*p) * 8 << recordBits
	}
	return n
}

func (t *Texts) record(id uint32) *record {
	if chunk := (*t.records.Load())[id>>recordBits]; chunk != nil { // see Slab.span
		return &chunk[id&recordMask]
	}
	panic("compact: an id that never was given")
}

// Text is what an id stands for, borrowed.
func (t *Texts) Text(id uint32) []byte {
	ref := t.record(id).text
	n := firstByte(t.mem.Block(ref, 1))
	return bytesOf(t.mem.Block(ref, textWords(n)))[1 : 1+n : 1+n]
}

// Data is the word that SetData put beside a text, 0 at first.
func (t *Texts) Data(id uint32) uint32 { return t.record(id).data }

// SetData keeps a word beside a text.
func (t *Texts) SetData(id, data uint32) { t.record(id).data = data }

// Find is the id of a text with that Hash, or 0.
func (t *Texts) Find(hash uint64, text []byte) uint32 {
	if t.n == 0 {
		return 0
	}
	tag := tagOf(hash)
	for at := t.start(hash); t.index[at] != 0; at = t.after(at) {
		if id := t.index[at] & idMask; t.index[at]&tagMask == tag && bytes.Equal(t.Text(id), text) {
			return id
		}
	}
	return 0
}

// Guess is the id that Find most likely gives. It looks at no text.
func (t *Texts) Guess(hash uint64) uint32 {
	if t.n == 0 {
		return 0
	}
	tag := tagOf(hash)
	for at := t.start(hash); t.index[at] != 0; at = t.after(at) {
		if t.index[at]&tagMask == tag {
			return t.index[at] & idMask
		}
	}
	return 0
}

// Confirm is Find with what Guess said of that hash.
func (t *Texts) Confirm(guess uint32, hash uint64, text []byte) uint32 {
	if guess == 0 || bytes.Equal(t.Text(guess), text) {
		return guess
	}
	return t.Find(hash, text)
}

// FirstSlot is where Guess and Find begin to look; nil if the index is empty.
func (t *Texts) FirstSlot(hash uint64) *uint32 {
	if t.n == 0 {
		return nil
	}
	return &t.index[t.start(hash)]
}

// Record is where it is kept what Text needs, and Data beside it.
func (t *Texts) Record(id uint32) *uint32 { return (*uint32)(&t.record(id).text) }

// Word is the first of a text.
func (t *Texts) Word(id uint32) *uint32 { return t.mem.Word(t.record(id).text, 0) }

// FindString is Find without the hash.
func (t *Texts) FindString(text string) uint32 {
	if t.n == 0 {
		return 0
	}
	h := maphash.String(t.seed, text)
	for at, tag := t.start(h), tagOf(h); t.index[at] != 0; at = t.after(at) {
		if id := t.index[at] & idMask; t.index[at]&tagMask == tag && string(t.Text(id)) == text {
			return id
		}
	}
	return 0
}

func (t *Texts) start(h uint64) int { return int(h & (1<<32 - 1) * uint64(len(t.index)) >> 32) }

func tagOf(h uint64) uint32 { return uint32(h>>32) & tagMask }

func (t *Texts) after(at int) int {
	if at++; at < len(t.index) {
		return at
	}
	return 0
}

// Add gives a text that is not there, and has that Hash, an id.
func (t *Texts) Add(hash uint64, text []byte) uint32 {
	if t.n*5 >= len(t.index)*4 {
		t.grow()
	}
	id := t.newID()
	words := textWords(len(text))
	ref := t.mem.Alloc(words)
	b := bytesOf(t.mem.Block(ref, words))
	b[0] = byte(len(text))
	copy(b[1:], text)
	*t.record(id) = record{text: ref}
	t.insert(id, hash)
	t.n++
	t.older()
	return id
}

func (t *Texts) older() {
	if t.age++; t.age == 0 {
		t.age = 1
	}
}

func (t *Texts) newID() uint32 {
	if n := len(t.free); n > 0 {
		id := t.free[n-1]
		t.free = t.free[:n-1]
		return id
	}
	t.next++
	var chunks []*[1 << recordBits]record
	if p := t.records.Load(); p != nil {
		chunks = *p
	}
	if int(t.next>>recordBits) >= len(chunks) {
		chunks = append(chunks, new([1 << recordBits]record))
		t.records.Store(&chunks)
	}
	return t.next
}

func (t *Texts) insert(id uint32, h uint64) {
	at := t.start(h)
	for t.index[at] != 0 {
		at = t.after(at)
	}
	t.index[at] = id | tagOf(h)
}

// grow makes the index a third larger.
func (t *Texts) grow() {
	old := t.index
	t.index = make([]uint32, max(8, len(old)*4/3))
	for _, entry := range old {
		if entry != 0 {
			t.insert(entry&idMask, maphash.Bytes(t.seed, t.Text(entry&idMask)))
		}
	}
}

// Remove is Unlink and Release.
func (t *Texts) Remove(id uint32) {
	t.Unlink(id)
	t.Release(id)
}

// Unlink makes that a text is not found any more. Its id still stands for it.
func (t *Texts) Unlink(id uint32) {
	h := maphash.Bytes(t.seed, t.Text(id))
	gap := t.start(h)
	for t.index[gap]&idMask != id {
		gap = t.after(gap)
	}
	for at := t.after(gap); t.index[at] != 0; at = t.after(at) {
		home := t.start(maphash.Bytes(t.seed, t.Text(t.index[at]&idMask)))
		if distance(home, at, len(t.index)) >= distance(gap, at, len(t.index)) {
			t.index[gap] = t.index[at]
			gap = at
		}
	}
	t.index[gap] = 0
	t.n--
	t.older()
}

// Release gives the id of an unlinked text, and its memory, to others.
func (t *Texts) Release(id uint32) {
	r := t.record(id)
	t.mem.Free(r.text)
	*r = record{}
	t.free = append(t.free, id)
}

// textWords are what a text of so many bytes needs, with its length.
func textWords(n int) int { return (n + 4) / 4 }
