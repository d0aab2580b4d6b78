package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"

	bolt "go.etcd.io/bbolt"
)

// The parts of bbolt's pages (format version 2, in the machine's byte order).
const (
	pageHead    = 16 // id 8, flags 2, count 2, overflow 4: the pages behind it that belong to it
	elementSize = 16 // branch: position 4, key size 4, child 8; leaf: flags 4, position 4, key size 4, value size 4
	bucketHead  = 16 // root 8, sequence 8; root 0: a leaf page follows, which is part of the value

	metaSize     = 64 // a head: its checksum in the last 8 bytes
	metaPages    = 2
	branchPage   = 1
	leafPage     = 2
	bucketMember = 1 // of a leaf's element: its value is a bucket
)

// boltPages walks through all pages that a transaction can reach. bbolt believes what it
// finds there: over a flipped bit it panics, also in goroutines of its own, follows a
// circle, or finds nothing behind a key. So each page must lie within the file and belong
// to one place only, and all keys be in order, also with those that lead to them. The
// values are for others to judge.
type boltPages struct {
	file io.ReaderAt
	size int64  // of a page
	high uint64 // pages from here on are not in use
	seen []bool // pages below high
}

// checkBoltPages looks at the heads of the database in that file, and at the pages of tx.
func checkBoltPages(ctx context.Context, tx *bolt.Tx, file io.ReaderAt) error {
	size := int64(tx.DB().Info().PageSize)
	if err := checkBoltHeads(file, size); err != nil {
		return err
	}
	p := &boltPages{file: file, size: size, high: uint64(tx.Size() / size)}
	p.seen = make([]bool, p.high)
	_, err := p.tree(ctx, uint64(tx.Cursor().Bucket().Root()), nil, nil)
	return err
}

// checkBoltHeads demands that both are whole. They are written in turn, and bbolt takes the
// older one where the newer one is not: it would forget its last transaction, which may
// have been acknowledged. No crash leaves one in part, for it lies within one sector.
func checkBoltHeads(file io.ReaderAt, size int64) error {
	for number := range int64(metaPages) {
		var head [metaSize]byte
		if _, err := file.ReadAt(head[:], number*size+pageHead); err != nil {
			return err
		}
		sum := fnv.New64a()
		sum.Write(head[:metaSize-8])
		if sum.Sum64() != binary.NativeEndian.Uint64(head[metaSize-8:]) {
			return fmt.Errorf("%w: head %d has the wrong checksum", errLogDamaged, number)
		}
	}
	return nil
}

// tree checks the page of that number and what is below it. All keys must be from least on
// and below most; nil: there is no such bound. It returns the last one.
func (p *boltPages) tree(ctx context.Context, number uint64, least, most []byte) (last []byte, err error) {
	page, err := p.claim(number)
	if err != nil {
		return nil, err
	}
	switch page.flags {
	case branchPage:
		return p.branch(ctx, page, least, most)
	case leafPage:
		return p.leaf(ctx, page, least, most)
	}
	return nil, page.damaged("has the flags %#x", page.flags)
}

// claim reads a page, up to those that are its overflow.
func (p *boltPages) claim(number uint64) (page *boltPage, err error) {
	page = &boltPage{number: number, file: p.file, offset: int64(number) * p.size, start: make([]byte, p.size)}
	if number < 2 || number >= p.high {
		return nil, page.damaged("is none of %d", p.high)
	}
	if _, err := p.file.ReadAt(page.start, page.offset); err != nil {
		return nil, err
	}
	overflow := uint64(binary.NativeEndian.Uint32(page.start[12:]))
	if id := binary.NativeEndian.Uint64(page.start); id != number || overflow >= p.high-number {
		return nil, page.damaged("says that it is %d and has %d more", id, overflow)
	}
	for i := number; i <= number+overflow; i++ {
		if p.seen[i] {
			return nil, page.damaged("belongs to two places")
		}
		p.seen[i] = true
	}
	page.room = int64(overflow+1) * p.size
	return page, page.open()
}

func (p *boltPages) branch(ctx context.Context, page *boltPage, least, most []byte) (last []byte, err error) {
	if page.count == 0 {
		return nil, page.damaged("leads nowhere")
	}
	keys := make([][]byte, page.count+1)
	keys[page.count] = most
	for i := range page.count {
		if keys[i], err = page.key(i, page.field(i, 0), page.field(i, 1)); err != nil {
			return nil, err
		}
	}
	last = least
	for i := range page.count {
		if err := page.inOrder(i, keys[i], last, most); err != nil {
			return nil, err
		}
		child := binary.NativeEndian.Uint64(page.element(i)[8:])
		if last, err = p.tree(ctx, child, keys[i], keys[i+1]); err != nil {
			return nil, err
		}
	}
	return last, nil
}

func (p *boltPages) leaf(ctx context.Context, page *boltPage, least, most []byte) (last []byte, err error) {
	last = least
	for i := range page.count {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		key, err := page.key(i, page.field(i, 1), page.field(i, 2))
		if err != nil {
			return nil, err
		}
		if err := page.inOrder(i, key, last, most); err != nil {
			return nil, err
		}
		last = key
		at, size := page.at(i)+int64(page.field(i, 1))+int64(page.field(i, 2)), int64(page.field(i, 3))
		if at+size > page.room {
			return nil, page.damaged("ends before its element %d does", i)
		}
		switch page.field(i, 0) {
		case 0:
		case bucketMember:
			if err := p.bucket(ctx, page, at, size); err != nil {
				return nil, err
			}
		default:
			return nil, page.damaged("has an element with the flags %#x", page.field(i, 0))
		}
	}
	return last, nil
}

// bucket is the value of that size at that place of a page.
func (p *boltPages) bucket(ctx context.Context, in *boltPage, at, size int64) error {
	if size < bucketHead {
		return in.damaged("has a bucket of %d bytes", size)
	}
	value, err := in.bytes(at, size)
	if err != nil {
		return err
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		_, err := p.tree(ctx, root, nil, nil)
		return err
	}
	inside := value[bucketHead:]
	if len(inside) < pageHead {
		return in.damaged("has a bucket that ends in its head")
	}
	page := &boltPage{number: in.number, start: inside, room: int64(len(inside))}
	if err := page.open(); err != nil {
		return err
	}
	if page.flags != leafPage {
		return in.damaged("has a bucket whose flags are %#x", page.flags)
	}
	_, err = p.leaf(ctx, page, nil, nil)
	return err
}

// boltPage is one page, with those behind it that belong to it, or one inside of a value.
type boltPage struct {
	number uint64
	start  []byte // of it, which is in memory
	room   int64  // bytes that it has
	flags  uint16
	count  int
	table  []byte // of elements

	file   io.ReaderAt // for what is behind start, if there is more
	offset int64
}

// bytes are those from at on, within room.
func (p *boltPage) bytes(at, size int64) ([]byte, error) {
	if at+size <= int64(len(p.start)) {
		return p.start[at : at+size], nil
	}
	b := make([]byte, size)
	_, err := p.file.ReadAt(b, p.offset+at)
	return b, err
}

func (p *boltPage) damaged(format string, args ...any) error {
	return fmt.Errorf("%w: page %d %s", errLogDamaged, p.number, fmt.Sprintf(format, args...))
}

// open finds the table of elements.
func (p *boltPage) open() (err error) {
	p.flags, p.count = binary.NativeEndian.Uint16(p.start[8:]), int(binary.NativeEndian.Uint16(p.start[10:]))
	if p.at(p.count) > p.room {
		return p.damaged("has no room for %d elements", p.count)
	}
	p.table, err = p.bytes(pageHead, int64(p.count)*elementSize)
	return err
}

// at is where an element begins, from which its position counts.
func (p *boltPage) at(i int) int64 { return pageHead + int64(i)*elementSize }

func (p *boltPage) element(i int) []byte { return p.table[i*elementSize:][:elementSize] }

func (p *boltPage) field(i, n int) uint32 { return binary.NativeEndian.Uint32(p.element(i)[4*n:]) }

func (p *boltPage) key(i int, position, size uint32) ([]byte, error) {
	at := p.at(i) + int64(position)
	if at < p.at(p.count) || at+int64(size) > p.room {
		return nil, p.damaged("has the key of element %d elsewhere", i)
	}
	return p.bytes(at, int64(size))
}

// inOrder compares the key of an element with the one before it: the first may be equal to
// that which led here.
func (p *boltPage) inOrder(i int, key, before, most []byte) error {
	if order := bytes.Compare(key, before); before != nil && (order < 0 || order == 0 && i > 0) || most != nil && bytes.Compare(key, most) >= 0 {
		return p.damaged("has the key of element %d in the wrong place", i)
	}
	return nil
}
