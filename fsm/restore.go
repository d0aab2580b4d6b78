package fsm

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"

	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// ReadSnapshot reads a whole snapshot into a new State. Nothing of a file that
// is damaged, truncated, has more behind its end, or was written by a newer
// binary is returned: the error is ErrMalformed, ErrUnknownFormat or that of r.
func ReadSnapshot(r io.Reader) (*State, error) {
	sr := &snapshotReader{in: bufio.NewReaderSize(r, 64<<10), sum: sha256.New(), state: NewState()}
	if err := sr.read(); err != nil {
		return nil, fmt.Errorf("read snapshot: record %d: %w", sr.records, err)
	}
	return sr.state, nil
}

type snapshotReader struct {
	in      *bufio.Reader
	sum     hash.Hash // of everything read so far
	buf     []byte
	version uint32
	records uint64
	state   *State
	sid     string // of the last server record
	last    key    // of the last member
	unknown error  // the first record that only a newer binary understands, if that is no damage
}

func (r *snapshotReader) read() error {
	if err := r.preamble(); err != nil {
		return err
	}
	for done := false; !done; {
		rec, err := r.record()
		if err != nil {
			return err
		}
		if done, err = r.take(rec); err != nil {
			return err
		}
		r.records++
	}
	if err := r.checksum(); err != nil {
		return err
	}
	if r.unknown != nil {
		return r.unknown
	}
	return r.finish()
}

// finish parks the members of lives that are over.
func (r *snapshotReader) finish() error {
	s := r.state
	if s.level > Version {
		return fmt.Errorf("%w: state of level %d, this binary knows up to %d", ErrUnknownFormat, s.level, Version)
	}
	if r.version != s.snapshotVersion() {
		return fmt.Errorf("%w: snapshot of version %d with a state of level %d", ErrMalformed, r.version, s.level)
	}
	for sid, srv := range s.servers {
		if srv.Up {
			continue
		}
		if now := s.park(sid); now > srv.parked {
			return fmt.Errorf("%w: %d members of the ended life of %q, which had %d", ErrMalformed, now, sid, srv.parked)
		}
	}
	return nil
}

func (r *snapshotReader) preamble() error {
	head, err := r.next(len(snapshotMagic) + 4)
	if err != nil {
		return err
	}
	magic, version := head[:len(snapshotMagic)], binary.BigEndian.Uint32(head[len(snapshotMagic):])
	switch {
	case string(magic) != snapshotMagic:
		return fmt.Errorf("%w: not a snapshot of this program: it begins with %q", ErrMalformed, magic)
	case version > snapshotVersion:
		return fmt.Errorf("%w: snapshot of version %d, this binary knows up to %d", ErrUnknownFormat, version, snapshotVersion)
	case version < 1:
		return fmt.Errorf("%w: snapshot of version %d", ErrMalformed, version)
	}
	r.version = version
	return nil
}

// next reads n bytes, which stay valid until the next call.
func (r *snapshotReader) next(n int) ([]byte, error) {
	if cap(r.buf) < n {
		r.buf = make([]byte, n)
	}
	b := r.buf[:n]
	if _, err := io.ReadFull(r.in, b); err != nil {
		return nil, truncated(err)
	}
	r.sum.Write(b)
	return b, nil
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: truncated", ErrMalformed)
	}
	return err
}

func (r *snapshotReader) record() (*fsmpb.SnapshotRecord, error) {
	head, err := r.next(4)
	if err != nil {
		return nil, err
	}
	// Bounded before anything is allocated: the length may be damage.
	size := binary.BigEndian.Uint32(head)
	if size > recordBytes {
		return nil, fmt.Errorf("%w: record of %d bytes", ErrMalformed, size)
	}
	body, err := r.next(int(size))
	if err != nil {
		return nil, err
	}
	rec := new(fsmpb.SnapshotRecord)
	if err := proto.Unmarshal(body, rec); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	// A flipped bit can look like a field of the future. Only the checksum at
	// the end tells them apart, so read on and decide there.
	if err := checkKnown(rec.ProtoReflect()); err != nil && r.unknown == nil {
		r.unknown = err
	}
	return rec, nil
}

// take puts a record into the new state, and says whether it was the footer.
func (r *snapshotReader) take(rec *fsmpb.SnapshotRecord) (done bool, err error) {
	if footer, ok := rec.GetRecord().(*fsmpb.SnapshotRecord_Footer); ok {
		if n := footer.Footer.GetRecords(); n != r.records || n == 0 {
			return false, fmt.Errorf("%w: footer counts %d records", ErrMalformed, n)
		}
		return true, nil
	}
	if r.unknown != nil {
		return false, nil // the state is lost already
	}
	header, isHeader := rec.GetRecord().(*fsmpb.SnapshotRecord_Header)
	if isHeader != (r.records == 0) {
		return false, fmt.Errorf("%w: the first record, and no other, is the header", ErrMalformed)
	}
	switch c := rec.GetRecord().(type) {
	case *fsmpb.SnapshotRecord_Header:
		r.header(header.Header)
		return false, nil
	case *fsmpb.SnapshotRecord_Server:
		return false, r.server(c.Server)
	case *fsmpb.SnapshotRecord_Channel:
		return false, r.channel(c.Channel)
	default:
		return false, fmt.Errorf("%w: empty record", ErrMalformed)
	}
}

func (r *snapshotReader) header(h *fsmpb.SnapshotHeader) {
	s := r.state
	s.clusterID, s.generation, s.index, s.forgotten = h.GetClusterId(), h.GetGeneration(), h.GetIndex(), h.GetForgotten()
	s.level = max(h.GetLevel(), firstLevel)
	s.settingsIndex, s.settingsID = h.GetSettingsIndex(), h.GetSettingsId()
	if h.GetSettings() != nil {
		s.settings = h.GetSettings()
	}
}

func (r *snapshotReader) server(p *fsmpb.ServerRecord) error {
	if !validSID(p.GetSid()) || p.GetSid() <= r.sid || r.last.name != "" {
		return fmt.Errorf("%w: server %q is out of order", ErrMalformed, p.GetSid())
	}
	if p.GetParked() > math.MaxInt32 {
		return fmt.Errorf("%w: server %q had %d members", ErrMalformed, p.GetSid(), p.GetParked())
	}
	kept, err := keptOf(p)
	if err != nil {
		return fmt.Errorf("%w: server %q: %w", ErrMalformed, p.GetSid(), err)
	}
	r.sid = p.GetSid()
	r.state.servers[r.sid] = &server{
		Server: Server{
			SID: p.GetSid(), SType: p.GetStype(), Zone: p.GetZone(), NodeID: p.GetNodeId(),
			Incarnation: p.GetIncarnation(), Addr: p.GetAddr(), Via: p.GetVia(), ViaEpoch: p.GetViaEpoch(),
			Epoch: p.GetEpoch(), Up: p.GetUp(), Changed: p.GetChanged(),
		},
		firstEpoch: p.GetFirstEpoch(), lastNumber: p.GetLastNumber(), kept: kept,
		parked: int(p.GetParked()), predecessor: p.GetPredecessor(),
		purged: p.GetPurged() || r.version == 1 && !p.GetUp(),
	}
	return nil
}

// keptOf is the window of a server's batches: a row without gaps that ends with
// the last one, at most Window long, its indexes never falling.
func keptOf(p *fsmpb.ServerRecord) ([]answered, error) {
	last, earlier := p.GetLastNumber(), p.GetEarlier()
	if last == 0 {
		if len(earlier) > 0 || len(p.GetLastResults()) > 0 || p.GetLastIndex() != 0 {
			return nil, errors.New("results of no batch")
		}
		return nil, nil
	}
	if len(earlier) >= Window || uint64(len(earlier)) >= last {
		return nil, fmt.Errorf("results of %d batches before number %d", len(earlier), last)
	}
	var kept []answered
	index := uint64(1)
	for i, b := range earlier {
		if b.GetNumber() != last-uint64(len(earlier)-i) || b.GetIndex() < index || b.GetIndex() > p.GetLastIndex() {
			return nil, fmt.Errorf("batch %d at index %d is out of order", b.GetNumber(), b.GetIndex())
		}
		index = b.GetIndex()
		kept = append(kept, answered{index: index, results: b.GetResults()})
	}
	return append(kept, answered{index: p.GetLastIndex(), results: p.GetLastResults()}), nil
}

func (r *snapshotReader) channel(p *fsmpb.ChannelRecord) error {
	name, s := p.GetName(), r.state
	c := s.channels[name]
	if len(p.GetOptions().GetMeta()) > maxMetaBytes {
		return fmt.Errorf("%w: options of channel %q are over a limit", ErrMalformed, name)
	}
	switch members := len(p.GetMembers()); {
	case members > recordMembers:
		return fmt.Errorf("%w: %d members of channel %q in one record", ErrMalformed, members, name)
	case members == 0 && (c != nil || p.GetOptions() == nil || p.GetSid() != ""):
		return fmt.Errorf("%w: channel %q: record without members", ErrMalformed, name)
	case members == 0:
		return r.emptyChannel(p)
	case c != nil && (c.changed != p.GetChanged() || p.GetOptions() != nil || len(c.members) == 0):
		return fmt.Errorf("%w: channel %q: its records contradict each other", ErrMalformed, name)
	}
	at := place{name: []byte(name), sid: []byte(p.GetSid())}
	for _, m := range p.GetMembers() {
		k := key{name: name, sid: p.GetSid(), uid: m.GetUid()}
		if !validName(k.name) || !validSID(k.sid) || !validName(k.uid) || len(m.GetMeta()) > maxMetaBytes {
			return fmt.Errorf("%w: member %q of channel %q on %q is over a limit", ErrMalformed, k.uid, name, k.sid)
		}
		if compareMembers(k, r.last) <= 0 {
			return fmt.Errorf("%w: member %q of channel %q on %q is out of order", ErrMalformed, k.uid, name, k.sid)
		}
		r.last = k
		at.uid = append(at.uid[:0], k.uid...)
		// Every record of a player says the same, or equal states were not equal bytes.
		if _, w := s.ways(at); !w.empty() && w.added != m.GetAdded() {
			return fmt.Errorf("%w: (%q, %q) was added last at two indexes", ErrMalformed, k.uid, k.sid)
		}
		s.put(s.channels[name], at, member{session: m.GetSession(), meta: string(m.GetMeta())}, p.GetChanged())
		h, w := s.ways(at)
		w.added = m.GetAdded()
		h.players[w.uid] = w
	}
	if c == nil {
		s.channels[name].options = p.GetOptions()
	}
	return nil
}

// emptyChannel takes a channel that its options alone keep.
func (r *snapshotReader) emptyChannel(p *fsmpb.ChannelRecord) error {
	if !validName(p.GetName()) || p.GetName() <= r.last.name {
		return fmt.Errorf("%w: channel %q is out of order", ErrMalformed, p.GetName())
	}
	r.last = key{name: p.GetName()}
	c := newChannel(p.GetName())
	c.changed, c.options = p.GetChanged(), p.GetOptions()
	r.state.channels[c.name] = c
	return nil
}

func (r *snapshotReader) checksum() error {
	want := r.sum.Sum(nil)
	got, err := r.next(sha256.Size)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%w: wrong checksum", ErrMalformed)
	}
	switch _, err := r.in.ReadByte(); {
	case err == nil:
		return fmt.Errorf("%w: more behind the end", ErrMalformed)
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}
