package fsm

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// Op is one operation of a group, as the node gives it.
type Op struct {
	Kind           fsmpb.OpKind
	Name, UID, SID string
	Session, Epoch uint64
}

// BatchHead says whose batch it is, and how many operations it has.
type BatchHead struct {
	OriginSID   string
	OriginEpoch uint64
	Number      uint64
	Ops         int
	Level       uint32 // of the state from which on all replicas understand it
}

// A batch is written in pieces and put together by copying: the caller's
// goroutine encodes its group, the outbox numbers what waits, the leader packs
// what came. None of them builds messages, and the bytes are the ones that
// proto.Marshal would give (Deterministic), fields ascending and no zero ones.
//
// What is written is not checked: CheckBatch does that where bytes come in.

// AppendGroup appends one caller's operations as they stand in a Batch: field 4
// with tag and length. Seen is the index that the caller's replica had applied.
func AppendGroup(dst []byte, seen uint64, ops ...Op) []byte {
	size := varintSize(seen)
	for i := range ops {
		size += nestedSize(ops[i].size())
	}
	dst = appendNested(slices.Grow(dst, nestedSize(size)), 4, size)
	dst = appendVarint(dst, 1, seen)
	for i := range ops {
		op := &ops[i]
		dst = appendNested(dst, 2, op.size())
		dst = appendVarint(dst, 1, uint64(op.Kind))
		dst = appendText(dst, 2, op.Name)
		dst = appendText(dst, 3, op.UID)
		dst = appendText(dst, 4, op.SID)
		dst = appendVarint(dst, 6, op.Session)
		dst = appendVarint(dst, 7, op.Epoch)
	}
	return dst
}

func (op *Op) size() int {
	return varintSize(uint64(op.Kind)) + textSize(op.Name) + textSize(op.UID) + textSize(op.SID) +
		varintSize(op.Session) + varintSize(op.Epoch)
}

// AppendBatch appends the bytes of an fsmpb.Batch; the groups are AppendGroup's,
// one or several in each slice.
func AppendBatch(dst []byte, originSID string, originEpoch, number uint64, groups ...[]byte) []byte {
	dst = appendText(dst, 1, originSID)
	dst = appendVarint(dst, 2, originEpoch)
	dst = appendVarint(dst, 3, number)
	for _, g := range groups {
		dst = append(dst, g...)
	}
	return dst
}

// AppendBatches appends the bytes of an entry with batches that CheckBatch has
// passed, in this order, at the level of the state. Without any it is the empty
// command.
func AppendBatches(dst []byte, level uint32, batches ...[]byte) []byte {
	size := 0
	for _, b := range batches {
		size += nestedSize(len(b))
	}
	dst = appendVarint(dst, 1, uint64(level))
	dst = appendNested(dst, 3, size)
	for _, b := range batches {
		dst = appendNested(dst, 1, len(b))
		dst = append(dst, b...)
	}
	return dst
}

// The fields below have numbers under 16: their tags are one byte.

func appendVarint(dst []byte, field byte, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return protowire.AppendVarint(append(dst, field<<3|byte(protowire.VarintType)), v)
}

func appendText(dst []byte, field byte, s string) []byte {
	if s == "" {
		return dst
	}
	return append(appendNested(dst, field, len(s)), s...)
}

// appendNested begins a message or a text of so many bytes.
func appendNested(dst []byte, field byte, size int) []byte {
	return protowire.AppendVarint(append(dst, field<<3|byte(protowire.BytesType)), uint64(size))
}

func varintSize(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(v)
}

func textSize(s string) int {
	if s == "" {
		return 0
	}
	return nestedSize(len(s))
}

func nestedSize(n int) int { return 1 + protowire.SizeBytes(n) }
