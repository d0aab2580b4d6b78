package snapfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// Reader reads a file section by section.
type Reader struct {
	in      io.Reader
	version uint32
	sum     *Summer
}

// Packed is a section as it is stored. Nothing of it is checked before Open.
type Packed struct {
	Kind   Kind
	Number uint32
	length uint32 // of the raw content
	sum    [sha256.Size]byte
	stored []byte
}

// NewReader reads the beginning of a file. The errors are ErrMalformed, ErrUnknownFormat
// or the reader's own.
func NewReader(in io.Reader) (*Reader, error) {
	head := make([]byte, len(Magic)+4)
	n, err := io.ReadFull(in, head)
	if magic := head[:min(n, len(Magic))]; !bytes.HasPrefix([]byte(Magic), magic) {
		return nil, fmt.Errorf("%w: not a snapshot of this program: it begins with %q", ErrMalformed, magic)
	}
	if err != nil {
		return nil, truncated(err)
	}
	version := binary.BigEndian.Uint32(head[len(Magic):])
	switch {
	case version > Version:
		return nil, fmt.Errorf("%w: snapshot of version %d, this binary knows up to %d", ErrUnknownFormat, version, Version)
	case version < Version:
		return nil, fmt.Errorf("%w: snapshot of version %d", ErrMalformed, version)
	}
	return &Reader{in: in, version: version, sum: NewSummer(version)}, nil
}

// Version of the file.
func (r *Reader) Version() uint32 { return r.version }

// Next reads the next section. io.EOF is the end of a file that was read wholly, and whose
// sum is right.
func (r *Reader) Next() (Packed, error) {
	var head [headBytes]byte
	if _, err := io.ReadFull(r.in, head[:1]); err != nil {
		return Packed{}, truncated(err)
	}
	if head[0] == 0 {
		return Packed{}, r.end()
	}
	if _, err := io.ReadFull(r.in, head[1:]); err != nil {
		return Packed{}, truncated(err)
	}
	p := Packed{
		Kind: Kind(head[0]), Number: binary.BigEndian.Uint32(head[1:]),
		length: binary.BigEndian.Uint32(head[5:]), sum: [sha256.Size]byte(head[17:]),
	}
	stored := binary.BigEndian.Uint32(head[9:])
	// zstd makes what it cannot compress a little longer.
	if p.Kind > Channels || p.length > MaxSection || uint64(stored) > uint64(p.length)+uint64(p.length)/128+64 {
		return Packed{}, fmt.Errorf("%w: section of kind %d with %d bytes, stored as %d", ErrMalformed, p.Kind, p.length, stored)
	}
	var err error
	if p.stored, err = readGrowing(r.in, int(stored)); err != nil {
		return Packed{}, truncated(err)
	}
	// Not every bit that zstd stores has a meaning, so the sum of the content is not enough.
	if crc32.Checksum(p.stored, castagnoli) != binary.BigEndian.Uint32(head[13:]) {
		return Packed{}, fmt.Errorf("%w: wrong checksum of section %d of kind %d as it is stored", ErrMalformed, p.Number, p.Kind)
	}
	r.sum.add(p.Kind, p.Number, p.length, p.sum)
	return p, nil
}

// readGrowing reads n bytes and allocates as they come: the number may be damage.
func readGrowing(in io.Reader, n int) ([]byte, error) {
	const step = 1 << 20
	b := make([]byte, 0, min(n, step))
	for len(b) < n {
		b = slices.Grow(b, min(n-len(b), max(step, len(b))))
		more := b[len(b):min(n, cap(b))]
		if _, err := io.ReadFull(in, more); err != nil {
			return nil, err
		}
		b = b[:len(b)+len(more)]
	}
	return b, nil
}

func (r *Reader) end() error {
	var rest [endBytes - 1]byte
	if _, err := io.ReadFull(r.in, rest[:]); err != nil {
		return truncated(err)
	}
	if sum := r.sum.Sum(); binary.BigEndian.Uint32(rest[:]) != r.sum.count || !bytes.Equal(rest[4:], sum[:]) {
		return fmt.Errorf("%w: wrong checksum", ErrMalformed)
	}
	switch n, err := io.ReadFull(r.in, rest[:1]); {
	case n > 0:
		return fmt.Errorf("%w: more behind the end", ErrMalformed)
	case !errors.Is(err, io.EOF):
		return err
	}
	return io.EOF
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: truncated", ErrMalformed)
	}
	return err
}

// Opener decompresses sections, one at a time.
type Opener struct {
	in    *zstd.Decoder
	bytes bytes.Reader
	raw   []byte
}

// NewOpener makes one, to be closed.
func NewOpener() (*Opener, error) {
	in, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(32<<20))
	if err != nil {
		return nil, err
	}
	return &Opener{in: in}, nil
}

// Close ends it.
func (o *Opener) Close() { o.in.Close() }

// Open gives the content of a section, which is valid until the next one is opened.
func (o *Opener) Open(p Packed) ([]byte, error) {
	o.bytes.Reset(p.stored)
	if err := o.in.Reset(&o.bytes); err != nil {
		return nil, fmt.Errorf("%w: section %d of kind %d: %w", ErrMalformed, p.Number, p.Kind, err)
	}
	o.raw = o.raw[:0]
	for {
		if len(o.raw) == cap(o.raw) { // as it comes: the length may be damage
			o.raw = slices.Grow(o.raw, max(64<<10, len(o.raw)/2))
		}
		n, err := o.in.Read(o.raw[len(o.raw):cap(o.raw)])
		o.raw = o.raw[:len(o.raw)+n]
		if len(o.raw) > int(p.length) {
			return nil, fmt.Errorf("%w: section %d of kind %d is longer than %d bytes", ErrMalformed, p.Number, p.Kind, p.length)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: section %d of kind %d: %w", ErrMalformed, p.Number, p.Kind, err)
		}
	}
	if len(o.raw) != int(p.length) || sha256.Sum256(o.raw) != p.sum {
		return nil, fmt.Errorf("%w: wrong checksum of section %d of kind %d", ErrMalformed, p.Number, p.Kind)
	}
	return o.raw, nil
}
