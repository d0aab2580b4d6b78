package snapfile

import (
	"bytes"
	"encoding/binary"
)

// maxText is the most bytes of a name or a uid.
const maxText = 255

// textWriter writes ascending texts: how much of the one before stays, and the rest.
type textWriter struct {
	out  []byte
	last []byte
}

func (w *textWriter) reset() { w.out, w.last = w.out[:0], w.last[:0] }

func (w *textWriter) add(text []byte) {
	same := 0
	for same < min(len(text), len(w.last)) && text[same] == w.last[same] {
		same++
	}
	w.out = binary.AppendUvarint(w.out, uint64(same))
	w.out = binary.AppendUvarint(w.out, uint64(len(text)-same))
	w.out = append(w.out, text[same:]...)
	w.last = append(w.last[:0], text...)
}

// textReader reads them back.
type textReader struct {
	column
	last, text []byte
}

// next is valid until the one after the next.
func (r *textReader) next() []byte {
	same := r.below(uint64(len(r.last)) + 1)
	rest := r.bytes(r.below(maxText + 1))
	r.text = append(append(r.text[:0], r.last[:same]...), rest...)
	switch {
	case r.err != nil:
		return nil
	case len(r.text) == 0 || len(r.text) > maxText:
		r.fail("text of %d bytes", len(r.text))
	case bytes.Compare(r.text, r.last) <= 0:
		r.fail("%q after %q", r.text, r.last)
	case int(same) < len(r.last) && len(rest) > 0 && r.last[same] == rest[0]:
		r.fail("%q is cut short", r.text)
	}
	r.last, r.text = r.text, r.last
	return r.last
}
