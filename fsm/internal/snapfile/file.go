package snapfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"runtime"
	"slices"

	"github.com/klauspost/compress/zstd"
)

const (
	// Magic begins every snapshot, of the older versions too. The line end shows a
	// transfer that "repaired" it.
	Magic = "GCHFSM\r\n"
	// Version is the newest that this package knows, and the first.
	Version = 3
	// MaxSection is the most bytes that a section may have before it is compressed.
	MaxSection = 1 << 30

	headBytes = 1 + 4 + 4 + 4 + 4 + sha256.Size
	endBytes  = 1 + 4 + sha256.Size
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Kind says what a section holds.
type Kind uint8

// The kinds of sections, in the order of a file. There is no 0: it is the end.
const (
	Header Kind = iota + 1
	Players
	Channels
)

// Errors of this package, wrapped with what was met.
var (
	// ErrMalformed is a file that no binary wrote like this.
	ErrMalformed = errors.New("malformed snapshot")
	// ErrUnknownFormat is a file that a newer binary wrote.
	ErrUnknownFormat = errors.New("snapshot of an unknown format")
)

// Sum is the sum of a file.
type Sum [sha256.Size]byte

func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// Summer makes the sum of what a file would hold, without one.
type Summer struct {
	hash  hash.Hash
	count uint32
}

// NewSummer begins a sum.
func NewSummer(version uint32) *Summer {
	s := &Summer{hash: sha256.New()}
	s.hash.Write(binary.BigEndian.AppendUint32(nil, version))
	return s
}

// Section adds a section, and gives the SHA-256 of its content.
func (s *Summer) Section(kind Kind, number uint32, raw []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	inSteps(h, raw) // a Hash has no errors
	h.Sum(sum[:0])
	s.add(kind, number, uint32(len(raw)), sum)
	return sum
}

// inSteps writes in steps of a fraction of a millisecond, and lets others run in between:
// a section takes some, and with both processors busy somebody who has a write to apply
// would wait that long, and up to 10 ms.
func inSteps(w io.Writer, b []byte) error {
	for step := range slices.Chunk(b, 64<<10) {
		if _, err := w.Write(step); err != nil {
			return err
		}
		runtime.Gosched()
	}
	return nil
}

func (s *Summer) add(kind Kind, number, length uint32, sum [sha256.Size]byte) {
	b := make([]byte, 0, headBytes)
	b = binary.BigEndian.AppendUint32(append(b, byte(kind)), number)
	b = binary.BigEndian.AppendUint32(b, length)
	s.hash.Write(append(b, sum[:]...))
	s.count++
}

// Sum is that of all sections so far.
func (s *Summer) Sum() (sum Sum) {
	s.hash.Sum(sum[:0])
	return sum
}

// Writer writes a file. The first error stays.
type Writer struct {
	out    io.Writer
	sum    *Summer
	pack   *zstd.Encoder
	stored bytes.Buffer
	err    error
}

// NewWriter begins a file.
func NewWriter(out io.Writer, version uint32) *Writer {
	w := &Writer{out: out, sum: NewSummer(version)}
	// One section at a time, in this goroutine: two would need twice the memory and both
	// processors.
	w.pack, w.err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	w.write(binary.BigEndian.AppendUint32([]byte(Magic), version))
	return w
}

func (w *Writer) write(b []byte) {
	if w.err == nil {
		_, w.err = w.out.Write(b)
	}
}

// Section writes a section.
func (w *Writer) Section(kind Kind, number uint32, raw []byte) error {
	if w.err == nil && len(raw) > MaxSection {
		w.err = fmt.Errorf("section %d of kind %d has %d bytes, at most %d can be read back", number, kind, len(raw), MaxSection)
	}
	if w.err != nil {
		return w.err
	}
	sum := w.sum.Section(kind, number, raw)
	if w.err = w.compress(raw); w.err != nil {
		return w.err
	}
	stored := w.stored.Bytes()
	head := binary.BigEndian.AppendUint32([]byte{byte(kind)}, number)
	head = binary.BigEndian.AppendUint32(head, uint32(len(raw)))
	head = binary.BigEndian.AppendUint32(head, uint32(len(stored)))
	head = binary.BigEndian.AppendUint32(head, crc32.Checksum(stored, castagnoli))
	w.write(append(head, sum[:]...))
	w.write(stored)
	return w.err
}

func (w *Writer) compress(raw []byte) error {
	w.stored.Reset()
	w.pack.Reset(&w.stored)
	return errors.Join(inSteps(w.pack, raw), w.pack.Close())
}

// Close ends the file and gives its sum. It does not close what was written to.
func (w *Writer) Close() (Sum, error) {
	sum := w.sum.Sum()
	end := binary.BigEndian.AppendUint32([]byte{0}, w.sum.count)
	w.write(append(end, sum[:]...))
	return sum, w.err
}
