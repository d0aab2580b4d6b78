package fsm

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// Nearly all of a log is operations whose texts are plain: up to 127 bytes of ASCII, and
// no NUL. They are read here, in a third of the time that wire takes. What is anything
// else, or broken, is left to it: what is taken here is what it would take, and gives the
// same.

// quickGroup reads a group of plain operations; false: nothing was read.
func (d *decoder) quickGroup(b []byte) bool {
	g := group{}
	if len(b) > 0 && b[0] == 1<<3 {
		var n int
		if g.seen, n = quickVarint(b[1:]); n == 0 {
			return false
		}
		b = b[1+n:]
	}
	first, count := len(d.ops), d.count
	for len(b) > 0 {
		if len(b) < 2 || b[0] != 2<<3|2 || b[1] >= 0x80 || len(b) < 2+int(b[1]) || !d.nextOp().quick(b[2:2+b[1]]) {
			clear(d.ops[first:])
			d.ops, d.count = d.ops[:first], count
			return false
		}
		b = b[2+b[1]:]
	}
	if d.keep {
		g.ops = d.ops[first:]
		d.groups = append(d.groups, g)
	}
	return true
}

// quick reads a plain operation of a kind that came with the first level; false: it is no
// such one, and what was read of it is worth nothing.
func (o *op) quick(b []byte) bool {
	if len(b) < 2 || b[0] != 1<<3 || b[1] == 0 || b[1] >= byte(fsmpb.OpKind_OP_PRUNE) {
		return false
	}
	o.kind, o.plain = fsmpb.OpKind(b[1]), true
	b = b[2:]
	var ok [5]bool
	o.name, b, ok[0] = quickText(b, 2<<3|2)
	o.uid, b, ok[1] = quickText(b, 3<<3|2)
	o.sid, b, ok[2] = quickText(b, 4<<3|2)
	o.session, b, ok[3] = quickNumber(b, 6<<3)
	o.epoch, b, ok[4] = quickNumber(b, 7<<3)
	return ok == [5]bool{true, true, true, true, true} && len(b) == 0
}

// quickText reads the field with that tag, if it comes next.
func quickText(b []byte, tag byte) (text, rest []byte, ok bool) {
	if len(b) < 2 || b[0] != tag {
		return nil, b, true
	}
	n := int(b[1])
	if n == 0 || n >= 0x80 || len(b) < 2+n || !plain(b[2:2+n]) {
		return nil, nil, false
	}
	return b[2 : 2+n : 2+n], b[2+n:], true
}

// quickNumber is the same for a number.
func quickNumber(b []byte, tag byte) (v uint64, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != tag {
		return 0, b, true
	}
	v, n := quickVarint(b[1:])
	if n == 0 {
		return 0, nil, false
	}
	return v, b[1+n:], true
}

// quickVarint reads one that is not 0 and no longer than it must be; n is 0 if it is not
// like that.
func quickVarint(b []byte) (v uint64, n int) {
	v, n = protowire.ConsumeVarint(b)
	if n <= 0 || b[n-1] == 0 {
		return 0, 0
	}
	return v, n
}

// plain says that all bytes are from 1 to 127.
func plain(b []byte) bool {
	const low, high = 0x0101010101010101, 0x8080808080808080
	for len(b) >= 8 {
		if x := binary.LittleEndian.Uint64(b); (x|(x-low))&high != 0 { // less 1 a 0 has the high bit
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c-1 >= 0x7f {
			return false
		}
	}
	return true
}
