package fsm_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

func marshal(t rapid.TB, m proto.Message) []byte {
	t.Helper()
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Numbers around the borders of a varint's length.
var someNumbers = []uint64{0, 1, 127, 128, 1 << 14, 1<<32 - 1, 1 << 32, gen(7), math.MaxUint64}

func drawText(t *rapid.T, label string) string {
	return rapid.SampledFrom([]string{"", "x", "guild:7", "Gänse", strings.Repeat("n", 127), strings.Repeat("n", 300)}).Draw(t, label)
}

func drawNumber(t *rapid.T, label string) uint64 {
	return rapid.SampledFrom(someNumbers).Draw(t, label)
}

func TestAppendBatches_GivesTheBytesOfProto(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := &fsmpb.Batches{}
		var batches [][]byte
		for range rapid.IntRange(0, 3).Draw(t, "batches") {
			b := &fsmpb.Batch{OriginSid: drawText(t, "origin"), OriginEpoch: drawNumber(t, "epoch"), Number: drawNumber(t, "number")}
			var groups [][]byte
			ops, level := 0, uint32(2)
			for range rapid.IntRange(0, 3).Draw(t, "groups") {
				g := &fsmpb.Group{Seen: drawNumber(t, "seen")}
				var given []fsm.Op
				for range rapid.IntRange(0, 3).Draw(t, "ops") {
					o := fsm.Op{
						Kind: fsmpb.OpKind(rapid.IntRange(0, 10).Draw(t, "kind")), Name: drawText(t, "name"), UID: drawText(t, "uid"),
						SID: drawText(t, "sid"), Session: drawNumber(t, "session"), Epoch: drawNumber(t, "epoch"),
					}
					given = append(given, o)
					if o.Kind >= fsmpb.OpKind_OP_PRUNE {
						level = 3
					}
					g.Ops = append(g.Ops, &fsmpb.Op{Kind: o.Kind, Name: o.Name, Uid: o.UID, Sid: o.SID, Session: o.Session, Epoch: o.Epoch})
				}
				ops += len(given)
				b.Groups = append(b.Groups, g)
				groups = append(groups, fsm.AppendGroup(nil, g.GetSeen(), given...))
			}
			data := fsm.AppendBatch(nil, b.GetOriginSid(), b.GetOriginEpoch(), b.GetNumber(), groups...)
			if !bytes.Equal(data, marshal(t, b)) {
				t.Fatalf("batch %v:\ngot  %x\nwant %x", b, data, marshal(t, b))
			}
			head, err := fsm.CheckBatch(data)
			if wantHead := (fsm.BatchHead{OriginSID: b.GetOriginSid(), OriginEpoch: b.GetOriginEpoch(), Number: b.GetNumber(), Ops: ops, Level: level}); err != nil || head != wantHead {
				t.Fatalf("head %+v, error %v, want %+v", head, err, wantHead)
			}
			want.Batches = append(want.Batches, b)
			batches = append(batches, data)
		}
		// Behind what dst holds already.
		data := fsm.AppendBatches([]byte("before"), fsm.Version, batches...)
		if wantData := append([]byte("before"), marshal(t, entryBatches(want.GetBatches()...))...); !bytes.Equal(data, wantData) {
			t.Fatalf("entry:\ngot  %x\nwant %x", data, wantData)
		}
	})
}

func TestAppendGroup_NeedsNoMemoryOfItsOwn(t *testing.T) {
	op := fsm.Op{Kind: fsmpb.OpKind_OP_ADD, Name: "guild:7", UID: "alice", SID: "connector-1", Session: 7, Epoch: gen(2)}
	group := fsm.AppendGroup(nil, 9, op, op)
	dst := make([]byte, 0, 1024)
	allocs := testing.AllocsPerRun(100, func() {
		dst = fsm.AppendGroup(dst[:0], 9, op, op)
		dst = fsm.AppendBatch(dst, "connector-1", gen(2), 3, group, group)
		dst = fsm.AppendBatches(dst, fsm.Version, group, group)
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

func TestAppendBatches_OfNoneIsTheEmptyCommand(t *testing.T) {
	e, err := fsm.DecodeEntry(fsm.AppendBatches(nil, fsm.Version))
	if err != nil || e.GetBatches() == nil || len(e.GetBatches().GetBatches()) != 0 {
		t.Errorf("entry %v, error %v, want batches without any", e, err)
	}
}

// ---- what is read: exactly what proto reads, known to the last field, and
// would write again with the same bytes

func drawMessage(t *rapid.T) *fsmpb.Batch {
	b := &fsmpb.Batch{OriginSid: drawText(t, "origin"), OriginEpoch: drawNumber(t, "epoch"), Number: drawNumber(t, "number")}
	for range rapid.IntRange(0, 2).Draw(t, "groups") {
		g := &fsmpb.Group{Seen: drawNumber(t, "seen")}
		for range rapid.IntRange(0, 2).Draw(t, "ops") {
			o := &fsmpb.Op{
				Kind: fsmpb.OpKind(rapid.IntRange(-1, 11).Draw(t, "kind")), Name: drawText(t, "name"), Uid: drawText(t, "uid"),
				Sid: drawText(t, "sid"), ToSid: drawText(t, "to sid"), Session: drawNumber(t, "session"), Epoch: drawNumber(t, "epoch"),
				Meta: []byte(drawText(t, "meta")),
			}
			if rapid.Bool().Draw(t, "has options") {
				o.Options = &fsmpb.ChannelOptions{
					TtlNs: int64(drawNumber(t, "ttl")), MaxMembers: uint32(drawNumber(t, "members")), Meta: []byte(drawText(t, "meta")),
				}
			}
			g.Ops = append(g.Ops, o)
		}
		b.Groups = append(b.Groups, g)
	}
	return b
}

// wantAsProto says whether proto reads data as something that EncodeEntry would
// have written like this, and checks that CheckBatch and a replica agree.
func wantAsProto(t rapid.TB, data []byte) {
	t.Helper()
	b := new(fsmpb.Batch)
	readable := proto.Unmarshal(data, b) == nil
	again, err := fsm.EncodeEntry(fsm.Version, entryBatches(b))
	entry := fsm.AppendBatches(nil, fsm.Version, data)
	want := readable && err == nil && bytes.Equal(again, entry)

	head, got := fsm.CheckBatch(data)
	if want != (got == nil) {
		t.Fatalf("check of %x: error %v; proto reads it: %v, error %v", data, got, readable, err)
	}
	if got == nil && (head.OriginSID != b.GetOriginSid() || head.OriginEpoch != b.GetOriginEpoch() || head.Number != b.GetNumber()) {
		t.Fatalf("head %+v of %v", head, b)
	}
	if got != nil && errors.Is(got, fsm.ErrMalformed) == errors.Is(got, fsm.ErrUnknownFormat) {
		t.Fatalf("error %v is of no class, or of both", got)
	}
	if _, err := fsm.CheckBatch(data); (err == nil) != (got == nil) || err != nil && err.Error() != got.Error() {
		t.Fatalf("checked again: error %v, first %v", err, got)
	}
	if _, err := fsm.DecodeEntry(entry); (err == nil) != want {
		t.Fatalf("entry of %x: error %v, want that of the batch: %v", data, err, got)
	}
}

func TestCheckBatch_TakesWhatProtoWritesAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := marshal(t, drawMessage(t))
		wantAsProto(t, data)
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			at := rapid.IntRange(0, len(data)).Draw(t, "at")
			part := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 8, 0x0a, 0x12, 0x1a, 0x22, 0x7f, 0x80, 0xff}), 0, 3).Draw(t, "bytes")
			cut := min(at+rapid.IntRange(0, 2).Draw(t, "cut"), len(data))
			data = bytes.Join([][]byte{data[:at], part, data[cut:]}, nil)
			wantAsProto(t, data)
		}
	})
}

func FuzzCheckBatch(f *testing.F) {
	op := opAdd("x", "u", "a", gen(2))
	op.Meta, op.ToSid, op.Options = []byte("m"), "b", &fsmpb.ChannelOptions{TtlNs: -1, MaxMembers: 300, Meta: []byte("o")}
	data := marshal(f, batch("a", gen(2), 1, op, opDestroy("y")))
	f.Add(data)
	f.Add(data[:len(data)-1])
	f.Fuzz(func(t *testing.T, data []byte) { wantAsProto(t, data) })
}

func TestCheckBatch_TellsNewerFromBroken(t *testing.T) {
	group := func(ops ...byte) []byte { return append([]byte{0x22, byte(len(ops))}, ops...) }
	op := func(fields ...byte) []byte { return group(append([]byte{0x12, byte(len(fields))}, fields...)...) }
	for name, tc := range map[string]struct {
		data []byte
		want error
	}{
		"nothing":                 {nil, nil},
		"operation without all":   {op(), nil},
		"kind":                    {op(8, 10), nil},
		"unknown kind":            {op(8, 11), fsm.ErrUnknownFormat},
		"negative kind":           {op(8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), fsm.ErrUnknownFormat},
		"kind over 32 bits":       {op(8, 0x81, 0x80, 0x80, 0x80, 0x10), fsm.ErrMalformed},
		"kind 0 written":          {op(8, 0), fsm.ErrMalformed},
		"empty name written":      {op(0x12, 0), fsm.ErrMalformed},
		"empty name of an add":    {op(8, 1, 0x12, 0), fsm.ErrMalformed},
		"add, then a long number": {op(8, 1, 0x30, 0x81, 0), fsm.ErrMalformed},
		"add, then what is left":  {op(8, 1, 0x12, 1, 'x', 0x12), fsm.ErrMalformed},
		"fields out of order":     {op(0x1a, 1, 'u', 0x12, 1, 'x'), fsm.ErrMalformed},
		"field twice":             {op(0x12, 1, 'x', 0x12, 1, 'x'), fsm.ErrMalformed},
		"long varint":             {op(0x30, 0x81, 0), fsm.ErrMalformed},
		"long length":             {op(0x12, 0x81, 0, 'x'), fsm.ErrMalformed},
		"endless varint":          {op(0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2), fsm.ErrMalformed},
		"length lies":             {op(0x12, 2, 'x'), fsm.ErrMalformed},
		"length missing":          {op(0x12), fsm.ErrMalformed},
		"number as text":          {op(0x32, 1), fsm.ErrMalformed},
		"text as number":          {op(0x10, 1, 'x'), fsm.ErrMalformed},
		"not UTF-8":               {op(0x12, 1, 0xff), fsm.ErrMalformed},
		"field 0":                 {op(0, 1), fsm.ErrMalformed},
		"unknown field":           {op(0x50, 1), fsm.ErrUnknownFormat},
		"unknown field of group":  {group(0x18, 1), fsm.ErrUnknownFormat},
		"unknown field of batch":  {[]byte{0x28, 0}, fsm.ErrUnknownFormat},
		"unknown field of option": {op(0x4a, 2, 0x20, 1), fsm.ErrUnknownFormat},
		"far unknown field":       {op(0xf8, 7, 1), fsm.ErrUnknownFormat},
		"broken unknown field":    {op(0xfa, 7, 9), fsm.ErrMalformed},
		"group as number":         {[]byte{0x20, 0}, fsm.ErrMalformed},
		"members over 32 bits":    {op(0x4a, 6, 0x10, 0x80, 0x80, 0x80, 0x80, 0x10), fsm.ErrMalformed},
	} {
		if _, err := fsm.CheckBatch(tc.data); !errors.Is(err, tc.want) {
			t.Errorf("%s: error %v, want %v", name, err, tc.want)
		}
	}
}

// Every kind of the proto file is known, and nothing beyond.
func TestCheckBatch_KnowsEveryKind(t *testing.T) {
	kinds := fsmpb.OpKind(0).Descriptor().Values()
	for i := range kinds.Len() + 1 {
		data := fsm.AppendBatch(nil, "a", 1, 1, fsm.AppendGroup(nil, 0, fsm.Op{Kind: fsmpb.OpKind(i)}))
		if _, err := fsm.CheckBatch(data); (err == nil) != (i < kinds.Len()) {
			t.Errorf("kind %d: error %v", i, err)
		}
	}
}
