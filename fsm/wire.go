package fsm

import (
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// wire reads the fields of one message in the only encoding that EncodeEntry
// and AppendBatch write: numbers ascending, no zero values, no varint longer
// than it must be. So equal batches are equal bytes, and whoever reads them
// needs no second look. The first error stays, and ends it.
type wire struct {
	rest    []byte
	message string // its name, for errors
	field   int    // the one that is read
	kind    byte   // its wire type
	err     error
}

// next goes to the next field and gives its number, 0 at the end. Numbers up to
// last are known; repeated is the one that may come several times, or 0.
func (w *wire) next(last, repeated int) int {
	if len(w.rest) == 0 {
		return 0
	}
	tag := w.rest[0]
	number := int(tag >> 3) // at most 31: every field that is known has a tag of one byte
	if number <= w.field && (number != repeated || number == 0) || number > last || tag >= 0x80 {
		return w.strange(number, last)
	}
	w.field, w.kind, w.rest = number, tag&7, w.rest[1:]
	return number
}

func (w *wire) strange(number, last int) int {
	if number > last || w.rest[0] >= 0x80 {
		w.unknown()
	} else {
		w.malformed("field %d after field %d", number, w.field)
	}
	return 0
}

// unknown is a field that a newer binary wrote, if it is a field at all.
func (w *wire) unknown() {
	number, _, n := protowire.ConsumeField(w.rest)
	if n < 0 {
		w.malformed("%w", protowire.ParseError(n))
		return
	}
	w.fail(fmt.Errorf("%w: unknown field %d in %s", ErrUnknownFormat, number, w.message))
}

func (w *wire) fail(err error) {
	if w.err == nil {
		w.err = err
	}
	w.rest = nil
}

func (w *wire) malformed(format string, args ...any) {
	w.fail(fmt.Errorf("%w: %s: %w", ErrMalformed, w.message, fmt.Errorf(format, args...)))
}

func (w *wire) varint() uint64 {
	if w.kind != byte(protowire.VarintType) {
		w.malformed("field %d has wire type %d", w.field, w.kind)
		return 0
	}
	v := w.rawVarint()
	if v == 0 {
		w.malformed("field %d is written though it is 0", w.field)
	}
	return v
}

func (w *wire) uint32() uint32 {
	v := w.varint()
	if v > math.MaxUint32 {
		w.malformed("field %d is over 32 bits", w.field)
	}
	return uint32(v)
}

// enum is an int32, negative ones in ten bytes.
func (w *wire) enum() int32 {
	v := w.varint()
	if v != uint64(int64(int32(v))) {
		w.malformed("field %d is over 32 bits", w.field)
	}
	return int32(v)
}

func (w *wire) rawVarint() uint64 {
	if len(w.rest) > 0 && w.rest[0] < 0x80 { // a kind, or most lengths
		v := uint64(w.rest[0])
		w.rest = w.rest[1:]
		return v
	}
	v, n := protowire.ConsumeVarint(w.rest)
	if n < 0 {
		w.malformed("%w", protowire.ParseError(n))
		return 0
	}
	if n != protowire.SizeVarint(v) {
		w.malformed("varint of %d bytes for %d", n, v)
		return 0
	}
	w.rest = w.rest[n:]
	return v
}

// nested is the body of a message, which may be empty.
func (w *wire) nested() []byte {
	if w.kind != byte(protowire.BytesType) {
		w.malformed("field %d has wire type %d", w.field, w.kind)
		return nil
	}
	n := w.rawVarint()
	if n > uint64(len(w.rest)) {
		w.malformed("field %d has %d bytes, %d are left", w.field, n, len(w.rest))
		return nil
	}
	b := w.rest[:n:n]
	w.rest = w.rest[n:]
	return b
}

func (w *wire) bytes() []byte {
	b := w.nested()
	if len(b) == 0 {
		w.malformed("field %d is written though it is empty", w.field)
	}
	return b
}

func (w *wire) text() []byte {
	b := w.bytes()
	if !utf8.Valid(b) {
		w.malformed("field %d is not UTF-8", w.field)
	}
	return b
}
