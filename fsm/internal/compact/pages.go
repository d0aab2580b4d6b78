package compact

import "iter"

// pages are the pages of a big set: extendible hashing. The directory has an entry for
// each value of the hash's top bits, several entries for a page that needs fewer.
type pages struct {
	n         int
	bits      uint8
	directory []*bigPage
}

type bigPage struct {
	page
	bits uint8 // of the hash that all its keys share
}

func newPages(mem *Slab, p *page) *pages {
	d := &pages{n: int(p.n), directory: []*bigPage{{page: *p}}}
	d.split(mem, 0)
	return d
}

func (d *pages) index(h uint32) int { return int(uint64(h) >> (32 - d.bits)) }

func (d *pages) of(h uint32) *page { return &d.directory[d.index(h)].page }

// at is the page of a hash, and where the range of the next one begins.
func (d *pages) at(h uint32) (p *page, end uint64) {
	b := d.directory[d.index(h)]
	width := uint64(1) << (32 - b.bits)
	return &b.page, uint64(h)&^(width-1) + width
}

// split makes two pages of one.
func (d *pages) split(mem *Slab, h uint32) {
	old := d.directory[d.index(h)]
	if old.bits == d.bits {
		double := make([]*bigPage, 0, 2*len(d.directory))
		for _, p := range d.directory {
			double = append(double, p, p)
		}
		d.directory, d.bits = double, d.bits+1
	}
	halves := [2]*bigPage{{bits: old.bits + 1}, {bits: old.bits + 1}}
	for _, half := range halves {
		words := slots(int(old.n) * 9 / 16)
		half.page = page{keys: mem.Alloc(words), words: uint16(words)}
		clear(half.block(mem))
	}
	old.each(mem, func(key uint32, value uint64) bool {
		halves[hash(key)>>(31-old.bits)&1].add(mem, key, value)
		return true
	})
	old.free(mem)
	first := d.index(h) &^ (1<<(d.bits-old.bits) - 1)
	for i := range 1 << (d.bits - old.bits) {
		d.directory[first+i] = halves[i>>(d.bits-old.bits-1)]
	}
}

// all are the pages, each once.
func (d *pages) all() iter.Seq[*page] {
	return func(yield func(*page) bool) {
		for i := 0; i < len(d.directory); {
			b := d.directory[i]
			if !yield(&b.page) {
				return
			}
			i += 1 << (d.bits - b.bits)
		}
	}
}

// merge makes one page of all, which have few keys.
func (d *pages) merge(mem *Slab) (one page) {
	for p := range d.all() {
		p.each(mem, func(key uint32, value uint64) bool {
			one.add(mem, key, value)
			return true
		})
		p.free(mem)
	}
	return one
}
