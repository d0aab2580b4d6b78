package snapfile

import (
	"encoding/binary"
	"math"
)

// Pair is a player on a sid: the sid's number in the header, and the index of the newest
// Add there.
type Pair struct {
	SID   uint32
	Added uint64
}

// PlayersEncoder writes the players of a shard, in the order of their uids.
type PlayersEncoder struct {
	base  uint64
	rows  int
	uids  textWriter
	sids  []byte // how many, and then each as the distance to the one before
	added []byte
	out   []byte
}

// Reset begins a section. No Added is above base.
func (e *PlayersEncoder) Reset(base uint64) {
	e.base, e.rows = base, 0
	e.uids.reset()
	e.sids, e.added = e.sids[:0], e.added[:0]
}

// Add adds a player with its pairs, at least one, by sid.
func (e *PlayersEncoder) Add(uid []byte, pairs []Pair) {
	e.rows++
	e.uids.add(uid)
	e.sids = binary.AppendUvarint(e.sids, uint64(len(pairs)))
	next := uint32(0)
	for _, p := range pairs {
		e.sids = binary.AppendUvarint(e.sids, uint64(p.SID-next))
		e.added = binary.AppendUvarint(e.added, e.base-p.Added)
		next = p.SID + 1
	}
}

// Len is the number of players so far.
func (e *PlayersEncoder) Len() int { return e.rows }

// Bytes is the content of the section, valid until the next Bytes.
func (e *PlayersEncoder) Bytes() []byte {
	e.out = appendColumns(e.out[:0], e.rows, e.uids.out, e.sids, e.added)
	return e.out
}

// DecodePlayers visits the players of a section, whose base and number of sids are those
// of the header. What visit gets is borrowed; its error ends the reading. Else the error is
// ErrMalformed.
func DecodePlayers(raw []byte, base uint64, sids uint32, visit func(rank uint32, uid []byte, pairs []Pair) error) error {
	var uids textReader
	var numbers, added column
	rows, err := columnsOf(raw, &uids.column, &numbers, &added)
	if err != nil {
		return err
	}
	if rows > math.MaxUint32 {
		uids.fail("%d players", rows)
	}
	var pairs []Pair
	for rank := range rows {
		uid := uids.next()
		n := numbers.below(uint64(sids) + 1)
		if n == 0 {
			numbers.fail("player without a sid")
		}
		pairs = pairs[:0]
		for next := uint32(0); n > 0 && numbers.err == nil; n-- {
			sid := uint64(next) + numbers.below(uint64(sids-next))
			pairs = append(pairs, Pair{SID: uint32(sid), Added: base - added.below(base+1)})
			next = uint32(sid) + 1
		}
		if err := firstError(false, &uids.column, &numbers, &added); err != nil {
			return err
		}
		if err := visit(uint32(rank), uid, pairs); err != nil {
			return err
		}
	}
	return firstError(true, &uids.column, &numbers, &added)
}
