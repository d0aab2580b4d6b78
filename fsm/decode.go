package fsm

import (
	"fmt"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// CheckBatch reads the bytes of an fsmpb.Batch to the end. Without an error
// they may stand in an entry: every replica will understand them. The error is
// ErrUnknownFormat where a newer binary may have written them, else
// ErrMalformed; bytes that mean the same as AppendBatch's but are not equal to
// them are malformed too.
func CheckBatch(data []byte) (BatchHead, error) {
	var d decoder
	b, err := d.batch(data)
	if err != nil {
		return BatchHead{}, fmt.Errorf("check batch: %w", err)
	}
	return BatchHead{
		OriginSID: string(b.originSID), OriginEpoch: b.originEpoch, Number: b.number, Ops: d.count,
		Level: max(d.level, firstLevel),
	}, nil
}

// batch, group and op are what the messages of the same names say. Their texts
// point into the bytes they were read from.
type batch struct {
	originSID           []byte
	originEpoch, number uint64
	groups              []group
	count               int // operations in all groups
}

type group struct {
	seen uint64
	ops  []op
}

type op struct {
	kind   fsmpb.OpKind
	extras bool // meta or options are set, which nothing uses yet
	plain  bool // the texts were found to be what quick.go takes
	place
	session, epoch uint64
}

// decoder reads batches. It keeps what it read in a few big slices, which the
// next entry uses again, or keeps nothing and only checks.
type decoder struct {
	keep    bool
	ops     []op
	groups  []group
	batches []batch
	count   int    // operations read so far
	level   uint32 // of the newest of them, 0 if none is newer than the first level
}

// command reads an entry, whatever it holds. It is valid until release.
func (d *decoder) command(data []byte) (command, error) {
	version, batches, err := d.entry(data)
	if err != nil {
		return command{}, fmt.Errorf("decode entry: %w", err)
	}
	if batches {
		return command{version: version, batches: d.batches}, nil
	}
	e, err := DecodeEntry(data)
	if err != nil {
		return command{}, err
	}
	return command{version: e.GetVersion(), other: e}, nil
}

// release forgets what was read, so that the bytes of the log are not kept
// alive, and what was needed for an unusually large entry.
func (d *decoder) release() {
	d.ops, d.groups, d.batches, d.count, d.level = reuse(d.ops), reuse(d.groups), reuse(d.batches), 0, 0
}

// reuse empties a slice; 8,192 elements are more than an entry of 256 KiB has
// of all but the shortest operations.
func reuse[T any](s []T) []T {
	if cap(s) > 8192 {
		return nil
	}
	clear(s)
	return s[:0]
}

// entry reads the encoding of an entry with batches: version and command. It
// says whether the bytes begin like one; if not, the entry holds another
// command or is broken, and nothing was read.
func (d *decoder) entry(data []byte) (version uint32, ok bool, err error) {
	w := wire{rest: data, message: "Entry"}
	if w.next(1, 0) == 0 {
		return 0, false, nil
	}
	version = w.uint32()
	if w.next(3, 0) != 3 {
		return 0, false, nil
	}
	if err := checkVersion(version); err != nil {
		return version, true, err
	}
	body := w.nested()
	if w.next(5, 0) != 0 {
		w.malformed("two commands")
	}
	if w.err != nil {
		return version, true, w.err
	}
	if err := d.all(body); err != nil {
		return version, true, err
	}
	if d.level > version {
		return version, true, fmt.Errorf("%w: entry of version %d with an operation that came with version %d", ErrMalformed, version, d.level)
	}
	return version, true, nil
}

func (d *decoder) all(data []byte) error {
	w := wire{rest: data, message: "Batches"}
	for w.next(1, 1) != 0 {
		b, err := d.batch(w.nested())
		if err != nil {
			w.fail(err)
		}
		if d.keep {
			d.batches = append(d.batches, b)
		}
	}
	return w.err
}

func (d *decoder) batch(data []byte) (batch, error) {
	var b batch
	w := wire{rest: data, message: "Batch"}
	first, before := len(d.groups), d.count
	for field := w.next(4, 4); field != 0; field = w.next(4, 4) {
		switch field {
		case 1:
			b.originSID = w.text()
		case 2:
			b.originEpoch = w.varint()
		case 3:
			b.number = w.varint()
		case 4:
			if err := d.group(w.nested()); err != nil {
				w.fail(err)
			}
		}
	}
	b.groups, b.count = d.groups[first:], d.count-before
	return b, w.err
}

func (d *decoder) group(data []byte) error {
	if d.quickGroup(data) {
		return nil
	}
	return d.anyGroup(data)
}

func (d *decoder) anyGroup(data []byte) error {
	var g group
	w := wire{rest: data, message: "Group"}
	first := len(d.ops)
	for field := w.next(2, 2); field != 0; field = w.next(2, 2) {
		switch field {
		case 1:
			g.seen = w.varint()
		case 2:
			o := d.nextOp()
			if err := decodeOp(w.nested(), o); err != nil {
				w.fail(err)
			}
			if o.kind >= fsmpb.OpKind_OP_PRUNE {
				d.level = parkingLevel
			}
		}
	}
	if d.keep {
		g.ops = d.ops[first:]
		d.groups = append(d.groups, g)
	}
	return w.err
}

// lastKind of the operations that this binary knows; all below it are known.
const lastKind = fsmpb.OpKind_OP_PURGE

// nextOp is a zero operation to read into.
func (d *decoder) nextOp() *op {
	d.count++
	n := len(d.ops)
	switch {
	case !d.keep && n > 0:
		d.ops[0] = op{}
		return &d.ops[0]
	case n < cap(d.ops):
		d.ops = d.ops[:n+1] // release has cleared it
	default:
		d.ops = append(d.ops, op{})
	}
	return &d.ops[n]
}

func decodeOp(data []byte, o *op) error {
	w := wire{rest: data, message: "Op"}
	for field := w.next(9, 0); field != 0; field = w.next(9, 0) {
		switch field {
		case 1:
			o.kind = fsmpb.OpKind(w.enum())
			if o.kind < 0 || o.kind > lastKind {
				w.fail(fmt.Errorf("%w: OpKind %d", ErrUnknownFormat, o.kind))
			}
		case 2:
			o.name = w.text()
		case 3:
			o.uid = w.text()
		case 4:
			o.sid = w.text()
		case 5:
			w.text()
		case 6:
			o.session = w.varint()
		case 7:
			o.epoch = w.varint()
		case 8:
			w.bytes()
			o.extras = true
		case 9:
			if err := checkOptions(w.nested()); err != nil {
				w.fail(err)
			}
			o.extras = true
		}
	}
	return w.err
}

func checkOptions(data []byte) error {
	w := wire{rest: data, message: "ChannelOptions"}
	for field := w.next(3, 0); field != 0; field = w.next(3, 0) {
		switch field {
		case 1:
			w.varint()
		case 2:
			w.uint32()
		case 3:
			w.bytes()
		}
	}
	return w.err
}
