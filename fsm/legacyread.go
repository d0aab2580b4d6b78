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

	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/fsm/internal/snapfile"
)

// readLegacy reads a snapshot of version 1 or 2, from its beginning.
func readLegacy(in *bufio.Reader) (*State, error) {
	r := &legacyReader{in: in, sum: sha256.New(), state: NewState()}
	if err := r.read(); err != nil {
		return nil, fmt.Errorf("record %d: %w", r.records, err)
	}
	return r.state, nil
}

type legacyReader struct {
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

func (r *legacyReader) read() error {
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
func (r *legacyReader) finish() error {
	s := r.state
	if s.level > Version {
		return fmt.Errorf("%w: state of level %d, this binary knows up to %d", ErrUnknownFormat, s.level, Version)
	}
	if r.version != s.snapshotVersion() {
		return fmt.Errorf("%w: snapshot of version %d with a state of level %d", ErrMalformed, r.version, s.level)
	}
	return s.parkEnded()
}

func (r *legacyReader) preamble() error {
	head, err := r.next(len(snapfile.Magic) + 4)
	if err != nil {
		return err
	}
	r.version = binary.BigEndian.Uint32(head[len(snapfile.Magic):])
	return nil
}

// next reads n bytes, which stay valid until the next call.
func (r *legacyReader) next(n int) ([]byte, error) {
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

func (r *legacyReader) record() (*fsmpb.SnapshotRecord, error) {
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
	err = checkKnown(rec.ProtoReflect())
	if err == nil {
		err = checkUsed(rec.GetChannel())
	}
	if r.unknown == nil {
		r.unknown = err
	}
	return rec, nil
}

// checkUsed refuses what the messages have a place for, but no binary of these versions
// ever wrote.
func checkUsed(c *fsmpb.ChannelRecord) error {
	if c.GetOptions() != nil {
		return fmt.Errorf("%w: options of channel %q", ErrUnknownFormat, c.GetName())
	}
	for _, m := range c.GetMembers() {
		if len(m.GetMeta()) > 0 {
			return fmt.Errorf("%w: meta of member %q of channel %q", ErrUnknownFormat, m.GetUid(), c.GetName())
		}
	}
	return nil
}

// take puts a record into the new state, and says whether it was the footer.
func (r *legacyReader) take(rec *fsmpb.SnapshotRecord) (done bool, err error) {
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
		r.state.setHeader(header.Header)
		return false, nil
	case *fsmpb.SnapshotRecord_Server:
		return false, r.server(c.Server)
	case *fsmpb.SnapshotRecord_Channel:
		return false, r.channel(c.Channel)
	default:
		return false, fmt.Errorf("%w: empty record", ErrMalformed)
	}
}

func (r *legacyReader) server(p *fsmpb.ServerRecord) error {
	if !validSID(p.GetSid()) || p.GetSid() <= r.sid || r.last.name != "" {
		return fmt.Errorf("%w: server %q is out of order", ErrMalformed, p.GetSid())
	}
	srv, err := serverOf(p)
	if err != nil {
		return err
	}
	srv.purged = srv.purged || r.version == 1 && !srv.Up
	r.sid = p.GetSid()
	r.state.servers[r.sid] = srv
	return nil
}

func (r *legacyReader) channel(p *fsmpb.ChannelRecord) error {
	s, members := r.state, p.GetMembers()
	if n := len(members); n == 0 || n > recordMembers {
		return fmt.Errorf("%w: %d members of channel %q in one record", ErrMalformed, n, p.GetName())
	}
	if !validName(p.GetName()) || !validSID(p.GetSid()) {
		return fmt.Errorf("%w: channel %q on %q is over a limit", ErrMalformed, p.GetName(), p.GetSid())
	}
	if c := s.channels[shardOfString(p.GetName())].findString(p.GetName()); c != nil && c.changed != p.GetChanged() {
		return fmt.Errorf("%w: channel %q: its records contradict each other", ErrMalformed, p.GetName())
	}
	for _, m := range members {
		if err := r.member(p, m); err != nil {
			return err
		}
	}
	return nil
}

func (r *legacyReader) member(p *fsmpb.ChannelRecord, m *fsmpb.MemberRecord) error {
	s, k := r.state, key{name: p.GetName(), sid: p.GetSid(), uid: m.GetUid()}
	switch {
	case !validName(k.uid):
		return fmt.Errorf("%w: member %q of channel %q on %q is over a limit", ErrMalformed, k.uid, k.name, k.sid)
	case compareMembers(k, r.last) <= 0:
		return fmt.Errorf("%w: member %q of channel %q on %q is out of order", ErrMalformed, k.uid, k.name, k.sid)
	}
	r.last = k
	var sp spot
	at := s.placeOf(k.name, k.sid, k.uid)
	s.find(&sp, &at)
	// Every record of a player says the same, or equal states were not equal bytes.
	if sp.local != 0 && sp.sid != nil {
		if g, ok := sp.players.stay(sp.local, sp.sid.number); ok && g.added != m.GetAdded() {
			return fmt.Errorf("%w: (%q, %q) was added last at two indexes", ErrMalformed, k.uid, k.sid)
		}
	}
	s.join(&sp, &at, m.GetSession(), p.GetChanged(), m.GetAdded())
	return nil
}

func (r *legacyReader) checksum() error {
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
