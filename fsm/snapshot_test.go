package fsm_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

func restored(t testing.TB, data []byte) *fsm.State {
	t.Helper()
	// One byte at a time, as a slow network may bring it.
	s, err := fsm.ReadSnapshot(iotest.OneByteReader(bytes.NewReader(data)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fullState has something of everything that a snapshot holds.
func fullState(t testing.TB) *world { return fullStateOf(t, 0) }

func fullStateOf(t testing.TB, version uint32) *world {
	t.Helper()
	w := newWorldOf(t, version, &fsmpb.Settings{ReapAfterNs: 5, MaxVoters: 3, ExternalSids: true}, "a", "b", "agent", "ended")
	w.up(attachedOf("front", "i", "agent", w.epoch("agent")))
	w.do("ended", opAdd("x", "gone", "ended", w.epoch("ended")))
	w.apply(entryDown("ended", w.epoch("ended")))
	for i, sid := range []string{"a", "b", "front"} {
		e := w.epoch(sid)
		w.do("a", session(opAdd("x", "u", sid, e), uint64(i)), opAdd("y", "v", sid, e), opAdd("z", fmt.Sprint(i), sid, e))
	}
	w.do("b", opAdd("x", "u", "outside", 0))
	fsm.SetForgotten(w.s, 1)
	return w
}

// levels are those with a snapshot version each.
var levels = []uint32{2, 3, fsm.Version}

func TestSnapshot_RoundTripKeepsEverything(t *testing.T) {
	for _, level := range levels {
		t.Run(fmt.Sprint("level ", level), func(t *testing.T) { testRoundTrip(t, level) })
	}
}

func testRoundTrip(t *testing.T, level uint32) {
	w := fullStateOf(t, level)
	data := snapshotOf(t, w.s)
	back := restored(t, data)
	if !bytes.Equal(data, snapshotOf(t, back)) {
		t.Error("the restored state writes other bytes")
	}
	if err := fsm.CheckIndexes(back); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"x", "y", "z"} {
		if diff := cmp.Diff(sortMembers(w.s.Members(name).Members()), sortMembers(back.Members(name).Members())); diff != "" {
			t.Errorf("members of %s:\n%s", name, diff)
		}
		if back.Changed(name) != w.s.Changed(name) {
			t.Errorf("%s changed at %d, want %d", name, back.Changed(name), w.s.Changed(name))
		}
	}
	if back.Index() != w.s.Index() || back.ClusterID() != "cluster" || back.Stats() != w.s.Stats() {
		t.Errorf("index %d, cluster %q, stats %+v", back.Index(), back.ClusterID(), back.Stats())
	}
	if diff := cmp.Diff(w.s.Settings(), back.Settings(), protocmp.Transform()); diff != "" {
		t.Errorf("settings:\n%s", diff)
	}
}

// The dedupe table and the fence must not be lost with the log.
func TestSnapshot_KeepsWhatExactlyOnceNeeds(t *testing.T) {
	w := newWorld(t, "a", "b")
	ea, eb := w.epoch("a"), w.epoch("b")
	w.do("a", opAdd("x", "u", "b", eb), opAdd("x", "u", "b", eb))
	w.apply(entryDown("a", ea))
	w.s = restored(t, snapshotOf(t, w.s))
	w.wantBatch(batch("a", ea, 1), fsm.BatchResult{Outcome: fsm.BatchRepeated, Results: []byte{fsm.OpChanged, fsm.OpUnchanged}, Index: 4})
	w.wantBatch(batch("a", ea, 2), fsm.BatchResult{Outcome: fsm.BatchFenced})
	w.wantBatch(batch("b", eb, 2), fsm.BatchResult{Outcome: fsm.BatchGap})
}

func TestSnapshot_EmptyStateHasOne(t *testing.T) {
	if got := restored(t, snapshotOf(t, fsm.NewState())); got.Index() != 0 || got.ClusterID() != "" {
		t.Errorf("index %d, cluster %q", got.Index(), got.ClusterID())
	}
}

func TestSnapshot_EqualStatesGiveEqualBytesWhateverTheOrder(t *testing.T) {
	build := func(seed uint64) []byte {
		w := newWorld(t, "a", "b")
		var ops []*fsmpb.Op
		for i := range 200 {
			sid := []string{"a", "b"}[i%2]
			ops = append(ops, opAdd(fmt.Sprint("c", i%7), fmt.Sprint("u", i), sid, w.epoch(sid)))
		}
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(ops), func(i, j int) { ops[i], ops[j] = ops[j], ops[i] })
		w.do("a", ops...)
		return snapshotOf(t, w.s)
	}
	first := build(0)
	for seed := range uint64(5) {
		if !bytes.Equal(first, build(seed+1)) {
			t.Fatalf("order %d of the same members gives other bytes", seed+1)
		}
	}
}

// The bytes are a format: they outlive this binary, and replicas of
// neighbouring versions compare their hashes. If this test fails the change
// needs a new snapshot version, not a new constant. The bytes of versions 1 and 2 are
// those that the binary before version 3 wrote of the same entries.
func TestSnapshot_BytesStayAsTheyAre(t *testing.T) {
	for level, want := range map[uint32]string{
		2: "e14dd38bc1b237c630b7cb1313457bf679386bd79cfbe28f4062d40e805be90f",
		3: "1c05f4fbb3ade7c6905572b033ec73d880b7bcc1bcffe9cc079a1b7890d53a0f",
		4: "b5e1dc7c1cfb46189dbd226b6908515a6ee4d44967947a4457fcf95c930ffbcc",
	} {
		sum, err := fullStateOf(t, level).s.WriteSnapshot(new(bytes.Buffer))
		if err != nil {
			t.Fatal(err)
		}
		if sum != want {
			t.Errorf("level %d: checksum %s, want %s", level, sum, want)
		}
	}
}

// The file is that of fullState, written by the binary before version 3 from entries of
// version 1, of which one batch is kept.
func TestSnapshot_OfOneBatchPerServerStillReads(t *testing.T) {
	data, err := os.ReadFile("testdata/snapshot-window-1.bin")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, s: restored(t, data)}
	if !bytes.Equal(data, snapshotOf(t, w.s)) {
		t.Error("it is written back with other bytes")
	}
	w.next = w.s.Index() + 1
	e := w.epoch("a")
	last := fsm.BatchResult{Outcome: fsm.BatchRepeated, Results: []byte{fsm.OpChanged, fsm.OpChanged, fsm.OpChanged}, Index: 11}
	w.wantBatch(batch("a", e, 3), last)
	w.wantBatch(batch("a", e, 2), fsm.BatchResult{Outcome: fsm.BatchOld})
	w.wantBatch(batch("a", e, 4), fsm.BatchResult{Outcome: fsm.BatchApplied, Index: w.next})
	w.wantBatch(batch("a", e, 3), last)
	if err := fsm.CheckIndexes(w.s); err != nil {
		t.Error(err)
	}
}

// The same log, the first half written by a binary that kept one batch: it
// makes no difference whether a replica starts with that binary's snapshot.
func TestSnapshot_OfAnOlderBinaryLeadsToTheSameState(t *testing.T) {
	whole := newWorldOf(t, 2, nil, "a")
	whole.version = 0 // as each entry says
	e := whole.epoch("a")
	for n := uint64(1); n <= 3; n++ {
		old := entryBatches(batch("a", e, n, opAdd("x", fmt.Sprint("u", n), "a", e)))
		old.Version = 1
		whole.apply(old)
	}
	for _, rec := range recordsOf(t, snapshotOf(t, whole.s)) {
		if n := len(rec.GetServer().GetEarlier()); n > 0 {
			t.Errorf("%d earlier batches are kept of what an older binary wrote", n)
		}
	}
}

func TestSnapshot_BigChannelIsCutIntoBoundedRecords(t *testing.T) {
	w := newWorldOf(t, 3, nil, "a")
	const members = 2*4096 + 1
	for part := range 3 {
		var ops []*fsmpb.Op
		for i := part * 3000; i < min(members, (part+1)*3000); i++ {
			ops = append(ops, opAdd("big", fmt.Sprint("user", i), "a", w.epoch("a")))
		}
		w.group("a", ops...)
	}
	data := snapshotOf(t, w.s)
	var sizes []int
	for _, rec := range recordsOf(t, data) {
		if c := rec.GetChannel(); c != nil {
			sizes = append(sizes, len(c.GetMembers()))
		}
	}
	if diff := cmp.Diff([]int{4096, 4096, 1}, sizes); diff != "" {
		t.Errorf("members per record (-want +got):\n%s", diff)
	}
	if got := restored(t, data).Stats().Memberships; got != members {
		t.Errorf("%d members came back, want %d", got, members)
	}
}

// ---- damage

func TestSnapshot_TruncatedAnywhereIsMalformed(t *testing.T) {
	for _, level := range levels {
		data := snapshotOf(t, fullStateOf(t, level).s)
		for n := range data {
			if s, err := fsm.ReadSnapshot(bytes.NewReader(data[:n])); s != nil || !errors.Is(err, fsm.ErrMalformed) {
				t.Fatalf("level %d, %d of %d bytes: state %v, error %v", level, n, len(data), s != nil, err)
			}
		}
	}
}

func TestSnapshot_FlippedBitAnywhereIsFound(t *testing.T) {
	for _, level := range levels {
		data := snapshotOf(t, fullStateOf(t, level).s)
		for i := range data {
			for bit := range 8 {
				if fsm.RaceDetector && bit != i%8 {
					continue
				}
				bad := bytes.Clone(data)
				bad[i] ^= 1 << bit
				s, err := fsm.ReadSnapshot(bytes.NewReader(bad))
				// Within the version itself a flipped bit is a version.
				if inVersion := i >= 8 && i < 12; s != nil || !inVersion && !errors.Is(err, fsm.ErrMalformed) || inVersion && err == nil {
					t.Fatalf("level %d, byte %d bit %d: state %v, error %v", level, i, bit, s != nil, err)
				}
			}
		}
	}
}

func TestSnapshot_BytesBehindTheEndAreMalformed(t *testing.T) {
	for _, level := range levels {
		data := append(snapshotOf(t, fullStateOf(t, level).s), 0)
		if _, err := fsm.ReadSnapshot(bytes.NewReader(data)); !errors.Is(err, fsm.ErrMalformed) {
			t.Errorf("level %d: error %v, want malformed", level, err)
		}
	}
}

func TestSnapshot_NewerVersionIsRefusedByName(t *testing.T) {
	data := snapshotOf(t, fsm.NewState())
	data[11] = 4
	_, err := fsm.ReadSnapshot(bytes.NewReader(data))
	if !errors.Is(err, fsm.ErrUnknownFormat) || !strings.Contains(err.Error(), "version 4") {
		t.Errorf("error %v, want unknown version 4", err)
	}
	data[11] = 0
	if _, err := fsm.ReadSnapshot(bytes.NewReader(data)); !errors.Is(err, fsm.ErrMalformed) {
		t.Errorf("version 0: error %v, want malformed", err)
	}
}

func TestSnapshot_ForeignFileIsRefused(t *testing.T) {
	_, err := fsm.ReadSnapshot(strings.NewReader("SQLite format 3\x00 and more of the same kind"))
	if !errors.Is(err, fsm.ErrMalformed) || !strings.Contains(err.Error(), "not a snapshot") {
		t.Errorf("error %v, want that it is none of ours", err)
	}
}

func TestSnapshot_ReadErrorIsNotDamage(t *testing.T) {
	broken := errors.New("disk on fire")
	data := snapshotOf(t, fullState(t).s)
	for _, n := range []int{0, 12, 100, len(data)} {
		_, err := fsm.ReadSnapshot(&failing{data: data[:n], err: broken})
		if !errors.Is(err, broken) || errors.Is(err, fsm.ErrMalformed) {
			t.Errorf("after %d bytes: error %v, want the reader's", n, err)
		}
	}
}

type failing struct {
	data []byte
	err  error
}

func (f *failing) Read(p []byte) (int, error) {
	if len(f.data) == 0 {
		return 0, f.err
	}
	n := copy(p, f.data)
	f.data = f.data[n:]
	return n, nil
}

func (f *failing) Write([]byte) (int, error) { return 0, f.err }

func TestSnapshot_WriteErrorIsReported(t *testing.T) {
	broken := errors.New("disk full")
	if _, err := fullState(t).s.WriteSnapshot(&failing{err: broken}); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
}

// Well-formed records with a good checksum that still are no state of ours.
func TestSnapshot_RecordsThatContradictAreMalformed(t *testing.T) {
	head := record(&fsmpb.SnapshotHeader{Index: 9})
	foot := func(n uint64) *fsmpb.SnapshotRecord { return record(&fsmpb.SnapshotFooter{Records: n}) }
	srv := func(sid string) *fsmpb.SnapshotRecord { return record(&fsmpb.ServerRecord{Sid: sid}) }
	channel := func(name, sid string, changed uint64, uids ...string) *fsmpb.SnapshotRecord {
		c := &fsmpb.ChannelRecord{Name: name, Sid: sid, Changed: changed}
		for _, uid := range uids {
			c.Members = append(c.Members, &fsmpb.MemberRecord{Uid: uid})
		}
		return record(c)
	}
	window := func(last, lastIndex uint64, earlier ...*fsmpb.BatchRecord) *fsmpb.SnapshotRecord {
		return record(&fsmpb.ServerRecord{Sid: "a", LastNumber: last, LastIndex: lastIndex, Earlier: earlier})
	}
	at := func(number, index uint64) *fsmpb.BatchRecord { return &fsmpb.BatchRecord{Number: number, Index: index} }
	var many []*fsmpb.BatchRecord
	for n := range uint64(fsm.Window) {
		many = append(many, at(n+1, 3))
	}
	for name, records := range map[string][]*fsmpb.SnapshotRecord{
		"earlier batches of none":   {head, window(0, 0, at(1, 3)), foot(2)},
		"results of no batch":       {head, record(&fsmpb.ServerRecord{Sid: "a", LastResults: []byte{1}}), foot(2)},
		"index of no batch":         {head, window(0, 3), foot(2)},
		"more than the window":      {head, window(fsm.Window+1, 4, many...), foot(2)},
		"batch zero":                {head, window(1, 4, at(0, 3)), foot(2)},
		"gap in the window":         {head, window(4, 4, at(1, 3), at(3, 3)), foot(2)},
		"gap before the last batch": {head, window(4, 4, at(1, 3), at(2, 3)), foot(2)},
		"newest batch first":        {head, window(3, 4, at(2, 3), at(1, 3)), foot(2)},
		"falling indexes":           {head, window(3, 4, at(1, 4), at(2, 3)), foot(2)},
		"index after the last":      {head, window(3, 4, at(1, 3), at(2, 5)), foot(2)},
		"batch at no index":         {head, window(3, 4, at(1, 0), at(2, 3)), foot(2)},
		"no header":                 {srv("a"), foot(1)},
		"nothing":                   {foot(0)},
		"two headers":               {head, head, foot(2)},
		"empty record":              {head, new(fsmpb.SnapshotRecord), foot(2)},
		"footer counts too few":     {head, srv("a"), foot(1)},
		"footer counts too many":    {head, srv("a"), foot(3)},
		"server twice":              {head, srv("a"), srv("a"), foot(3)},
		"servers out of order":      {head, srv("b"), srv("a"), foot(3)},
		"server without sid":        {head, srv(""), foot(2)},
		"server after a channel":    {head, channel("x", "a", 1, "u"), srv("a"), foot(3)},
		"channels out of order":     {head, channel("y", "a", 1, "u"), channel("x", "a", 1, "u"), foot(3)},
		"sids out of order":         {head, channel("x", "b", 1, "u"), channel("x", "a", 1, "u"), foot(3)},
		"uids out of order":         {head, channel("x", "a", 1, "v", "u"), foot(2)},
		"member twice":              {head, channel("x", "a", 1, "u"), channel("x", "a", 1, "u"), foot(3)},
		"channel without name":      {head, channel("", "a", 1, "u"), foot(2)},
		"member without sid":        {head, channel("x", "", 1, "u"), foot(2)},
		"member without uid":        {head, channel("x", "a", 1, ""), foot(2)},
		"long uid":                  {head, channel("x", "a", 1, strings.Repeat("u", 256)), foot(2)},
		"channel without members":   {head, channel("x", "", 1), foot(2)},
		"two times of change":       {head, channel("x", "a", 1, "u"), channel("x", "b", 2, "u"), foot(3)},
	} {
		if s, err := fsm.ReadSnapshot(bytes.NewReader(seal(records...))); s != nil || !errors.Is(err, fsm.ErrMalformed) {
			t.Errorf("%s: state %v, error %v, want malformed", name, s != nil, err)
		}
	}
	for name, rec := range map[string]*fsmpb.SnapshotRecord{"good": srv("a"), "good window": window(fsm.Window, 4, many[:fsm.Window-1]...)} {
		rec.GetServer().Up = true
		if _, err := fsm.ReadSnapshot(bytes.NewReader(seal(head, rec, channel("x", "a", 1, "u"), foot(3)))); err != nil {
			t.Errorf("the %s one: %v", name, err)
		}
	}
}

func TestSnapshot_LengthsThatLieAreMalformed(t *testing.T) {
	for _, length := range []uint32{4<<20 + 1, 1 << 31, 1<<32 - 1} {
		data := append([]byte(nil), snapshotOf(t, fsm.NewState())[:12]...)
		data = binary.BigEndian.AppendUint32(data, length)
		// Refused for its length, before as much is allocated.
		_, err := fsm.ReadSnapshot(bytes.NewReader(data))
		if !errors.Is(err, fsm.ErrMalformed) || !strings.Contains(err.Error(), fmt.Sprintf("record of %d bytes", length)) {
			t.Errorf("length %d: error %v, want that it is too long", length, err)
		}
	}
}

// Intact, but with a field that only a newer binary knows: not "malformed".
func TestSnapshot_UnknownFieldIsAnUnknownFormat(t *testing.T) {
	head := record(&fsmpb.SnapshotHeader{Index: 9})
	srv := &fsmpb.ServerRecord{Sid: "a"}
	srv.ProtoReflect().SetUnknown([]byte{0xf8, 0x07, 1}) // field 127
	options := &fsmpb.ChannelRecord{Name: "x", Sid: "a", Options: new(fsmpb.ChannelOptions)}
	meta := &fsmpb.ChannelRecord{Name: "x", Sid: "a", Members: []*fsmpb.MemberRecord{{Uid: "u", Meta: []byte("m")}}}
	newKind := new(fsmpb.SnapshotRecord)
	newKind.ProtoReflect().SetUnknown([]byte{0xfa, 0x07, 0})
	for _, strange := range []*fsmpb.SnapshotRecord{record(srv), newKind, record(options), record(meta)} {
		data := seal(head, strange, record(&fsmpb.SnapshotFooter{Records: 2}))
		if s, err := fsm.ReadSnapshot(bytes.NewReader(data)); s != nil || !errors.Is(err, fsm.ErrUnknownFormat) {
			t.Errorf("state %v, error %v, want unknown format", s != nil, err)
		}
		data[len(data)-1] ^= 1
		if _, err := fsm.ReadSnapshot(bytes.NewReader(data)); !errors.Is(err, fsm.ErrMalformed) {
			t.Errorf("damaged: error %v, want malformed", err)
		}
	}
}

// ---- the format, written down a second time

func record(m proto.Message) *fsmpb.SnapshotRecord {
	switch m := m.(type) {
	case *fsmpb.SnapshotHeader:
		return &fsmpb.SnapshotRecord{Record: &fsmpb.SnapshotRecord_Header{Header: m}}
	case *fsmpb.ServerRecord:
		return &fsmpb.SnapshotRecord{Record: &fsmpb.SnapshotRecord_Server{Server: m}}
	case *fsmpb.ChannelRecord:
		return &fsmpb.SnapshotRecord{Record: &fsmpb.SnapshotRecord_Channel{Channel: m}}
	case *fsmpb.SnapshotFooter:
		return &fsmpb.SnapshotRecord{Record: &fsmpb.SnapshotRecord_Footer{Footer: m}}
	}
	return nil
}

func seal(records ...*fsmpb.SnapshotRecord) []byte {
	body := []byte("GCHFSM\r\n\x00\x00\x00\x01")
	for _, r := range records {
		data, err := proto.Marshal(r)
		if err != nil {
			panic(err)
		}
		body = append(binary.BigEndian.AppendUint32(body, uint32(len(data))), data...)
	}
	return sealBytes(body)
}

func sealBytes(body []byte) []byte {
	sum := sha256.Sum256(body)
	return append(bytes.Clone(body), sum[:]...)
}

func recordsOf(t *testing.T, data []byte) []*fsmpb.SnapshotRecord {
	t.Helper()
	var records []*fsmpb.SnapshotRecord
	for rest := data[12 : len(data)-sha256.Size]; len(rest) > 0; {
		n := binary.BigEndian.Uint32(rest)
		r := new(fsmpb.SnapshotRecord)
		if err := proto.Unmarshal(rest[4:4+n], r); err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
		rest = rest[4+n:]
	}
	return records
}
