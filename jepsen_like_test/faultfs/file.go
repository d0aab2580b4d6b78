package faultfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// pageSize is what a disk writes as a whole, or not at all.
const pageSize = 4096

type page [pageSize]byte

// blank stands for every page that has room on the disk and was never written. It is
// never written itself.
var blank = new(page)

// file is the content of a file as processes see it, and what a power cut would leave.
type file struct {
	attr
	pages map[int64]*page // those that have room on the disk; all others are holes
	size  int64

	before     map[int64]*page // of the pages changed since the last fsync, what they were; nil: a hole
	syncedSize int64
}

func newFile(a attr) *file {
	return &file{attr: a, pages: make(map[int64]*page), before: make(map[int64]*page)}
}

// read returns how much there was.
func (f *file) read(b []byte, off int64) int {
	b = b[:max(0, min(int64(len(b)), f.size-off))]
	for done := 0; done < len(b); {
		i, at := (off+int64(done))/pageSize, (off+int64(done))%pageSize
		from := f.pages[i]
		if from == nil {
			from = blank
		}
		done += copy(b[done:], from[at:])
	}
	return len(b)
}

func (f *file) write(b []byte, off int64) {
	for len(b) > 0 {
		n := copy(f.own(off / pageSize)[off%pageSize:], b)
		b, off = b[n:], off+int64(n)
	}
	f.size = max(f.size, off)
}

// hasRoom tells whether a write there needs no more of the disk.
func (f *file) hasRoom(off, n int64) bool {
	for i := off / pageSize; i*pageSize < off+n; i++ {
		if f.pages[i] == nil {
			return false
		}
	}
	return true
}

// allocate takes room.
func (f *file) allocate(off, n int64, keepSize bool) {
	for i := off / pageSize; i*pageSize < off+n; i++ {
		if f.pages[i] == nil {
			f.note(i)
			f.pages[i] = blank
		}
	}
	if !keepSize {
		f.size = max(f.size, off+n)
	}
}

func (f *file) truncate(size int64) {
	if size < f.size {
		for i := range f.pages {
			if i*pageSize >= size {
				f.note(i)
				delete(f.pages, i)
			}
		}
		if end := size % pageSize; end > 0 && f.pages[size/pageSize] != nil {
			clear(f.own(size / pageSize)[end:])
		}
	}
	f.size = size
}

// note keeps what the disk has of a page that is about to change.
func (f *file) note(i int64) {
	if _, noted := f.before[i]; !noted {
		f.before[i] = f.pages[i]
	}
}

// own is a page that may be written.
func (f *file) own(i int64) *page {
	now := f.pages[i]
	if _, noted := f.before[i]; noted && now != nil && now != blank {
		return now // made below, since the last fsync
	}
	f.note(i)
	mine := new(page)
	if now != nil {
		*mine = *now
	}
	f.pages[i] = mine
	return mine
}

func (f *file) sync() {
	clear(f.before)
	f.syncedSize = f.size
}

// cut leaves what was synced, and of the rest what the coin says: each page by itself,
// and the size. It returns how many of these are gone.
func (f *file) cut(survives coin) (lost int) {
	for _, i := range slices.Sorted(maps.Keys(f.before)) {
		if survives() {
			continue
		}
		lost++
		if was := f.before[i]; was != nil {
			f.pages[i] = was
		} else {
			delete(f.pages, i)
		}
	}
	if f.size != f.syncedSize && !survives() {
		lost++
		f.size = f.syncedSize
	}
	clear(f.before) // what follows is no change
	f.dropBeyond()
	f.sync()
	return lost
}

// dropBeyond drops what pages have behind the end of the file.
func (f *file) dropBeyond() {
	for i, p := range f.pages {
		switch at := f.size - i*pageSize; {
		case at <= 0:
			delete(f.pages, i)
		case at < pageSize:
			kept := new(page)
			copy(kept[:at], p[:])
			f.pages[i] = kept
		}
	}
}

// coin says of something that was not synced whether it survives the power cut.
type coin func() bool

func tossed(r *rand.Rand) coin {
	if r == nil {
		return func() bool { return false }
	}
	return func() bool { return r.IntN(2) == 0 }
}
