package compact

// slots are the words for so many keys: of a table at least 7/6 of them, since looking
// for what is not there takes longer with each that is more.
func slots(n int) int {
	switch {
	case n <= 2:
		return n
	case n <= few:
		return (n + 1) &^ 1
	}
	return ClassWords(min((n*7+5)/6, pageWords))
}

func (p *page) list() bool { return p.words <= few }

func (p *page) block(mem *Slab) []uint32 {
	if p.words == 0 {
		return nil
	}
	return mem.Block(p.keys, int(p.words))
}

// start is where a key is looked for first.
func start(key uint32, words int) int { return int(uint64(key*0x85EBCA6B) * uint64(words) >> 32) }

func (p *page) find(mem *Slab, key uint32) (at int, ok bool) {
	b := p.block(mem)
	if p.list() {
		for i, k := range b[:p.n] {
			if k == key {
				return i, true
			}
		}
		return 0, false
	}
	for at = start(key, len(b)); b[at] != 0; {
		if b[at] == key {
			return at, true
		}
		if at++; at == len(b) {
			at = 0
		}
	}
	return at, false
}

// add puts a key that is not there.
func (p *page) add(mem *Slab, key uint32, value uint64) {
	n := int(p.n) + 1
	if n > int(p.words) || n > few && n*7 > int(p.words)*6 {
		p.resize(mem, n)
	}
	p.place(mem, key, value)
}

// place puts a key for which there is room.
func (p *page) place(mem *Slab, key uint32, value uint64) {
	at := int(p.n)
	if !p.list() {
		at, _ = p.find(mem, key)
	}
	p.block(mem)[at] = key
	p.n++
	p.setValue(mem, at, value)
}

// resize makes room for n keys, and no more than that needs.
func (p *page) resize(mem *Slab, n int) {
	old := *p
	words := slots(n)
	*p = page{keys: mem.Alloc(words), words: uint16(words)}
	clear(p.block(mem))
	if old.values != 0 {
		p.makeValues(mem)
	}
	old.each(mem, func(key uint32, value uint64) bool {
		p.place(mem, key, value)
		return true
	})
	old.free(mem)
}

func (p *page) free(mem *Slab) {
	if p.words == 0 {
		return
	}
	mem.Free(p.keys)
	if p.values != 0 {
		mem.Free(p.values)
	}
	*p = page{}
}

// remove takes out the key at a position, and gives memory back that is not needed.
func (p *page) remove(mem *Slab, at int) {
	b := p.block(mem)
	p.n--
	if p.list() {
		last := int(p.n)
		p.move(mem, b, last, at)
	} else {
		p.shift(mem, b, at)
	}
	switch n := int(p.n); {
	case n == 0:
		p.free(mem)
	case slots(n+n/4) < int(p.words) || p.list() && n+2 < int(p.words):
		p.resize(mem, n)
	}
}

// shift closes a gap in a table, so that what was pushed behind it is found again.
func (p *page) shift(mem *Slab, b []uint32, gap int) {
	for at := gap; ; {
		if at++; at == len(b) {
			at = 0
		}
		if b[at] == 0 {
			break
		}
		home := start(b[at], len(b))
		if distance(home, at, len(b)) >= distance(gap, at, len(b)) {
			p.move(mem, b, at, gap)
			gap = at
		}
	}
	b[gap] = 0
	if p.values != 0 {
		p.writeValue(mem, gap, 0)
	}
}

func distance(from, to, size int) int {
	if to >= from {
		return to - from
	}
	return to - from + size
}

func (p *page) move(mem *Slab, b []uint32, from, to int) {
	b[to], b[from] = b[from], 0
	if p.values != 0 {
		p.writeValue(mem, to, p.value(mem, from))
		p.writeValue(mem, from, 0)
	}
}

func (p *page) each(mem *Slab, yield func(uint32, uint64) bool) bool {
	left := int(p.n)
	for at, key := range p.block(mem) {
		if left == 0 {
			break
		}
		if key == 0 {
			continue
		}
		left--
		value := uint64(0)
		if p.values != 0 {
			value = p.value(mem, at)
		}
		if !yield(key, value) {
			return false
		}
	}
	return true
}

func (p *page) appendKeys(mem *Slab, dst []uint32) []uint32 {
	for _, key := range p.block(mem) {
		if key != 0 {
			dst = append(dst, key)
		}
	}
	return dst
}

// The values of a page are in a block of their own, two words for each slot.

func (p *page) valueWords(mem *Slab, at int) []uint32 {
	return mem.Block(p.values, 2*int(p.words))[2*at : 2*at+2]
}

func (p *page) value(mem *Slab, at int) uint64 {
	b := p.valueWords(mem, at)
	return uint64(b[1])<<32 | uint64(b[0])
}

func (p *page) writeValue(mem *Slab, at int, value uint64) {
	b := p.valueWords(mem, at)
	b[0], b[1] = uint32(value), uint32(value>>32)
}

func (p *page) setValue(mem *Slab, at int, value uint64) {
	if p.values == 0 {
		if value == 0 {
			return
		}
		p.makeValues(mem)
	}
	p.writeValue(mem, at, value)
}

func (p *page) makeValues(mem *Slab) {
	p.values = mem.Alloc(2 * int(p.words))
	clear(mem.Block(p.values, 2*int(p.words)))
}
