package fsm

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// A snapshot is
//
//	magic (8 bytes) | format version (uint32) | records | SHA-256 of all before (32 bytes)
//
// with each record as length (uint32) and a SnapshotRecord; integers are big
// endian. The records are the header, servers by sid, channels by name, sid and
// uid, and the footer, so that equal states give equal bytes.
//
// Version 2 is of states from level 3 on: it knows parked members, which are
// channel records of a server that is not up.
const (
	snapshotMagic   = "GCHFSM\r\n" // the line end shows a transfer that "repaired" it
	snapshotVersion = 2

	recordMembers = 4096    // members in one record at most
	recordBytes   = 4 << 20 // a record at most; 4,096 members with the longest uid and meta are 2.1 MiB
)

// WriteSnapshot writes the state and returns the checksum, in hexadecimal. A
// halted state is not written: Raft would drop the log that a newer binary needs.
func (s *State) WriteSnapshot(w io.Writer) (sum string, err error) {
	if s.halted != nil {
		return "", fmt.Errorf("write snapshot: %w", s.halted)
	}
	sum, err = s.writeSnapshot(w)
	if err != nil {
		return "", fmt.Errorf("write snapshot: %w", err)
	}
	return sum, nil
}

func (s *State) writeSnapshot(w io.Writer) (string, error) {
	out := bufio.NewWriterSize(w, 64<<10)
	sw := &snapshotWriter{sum: sha256.New(), out: out}
	sw.bytes(binary.BigEndian.AppendUint32([]byte(snapshotMagic), s.snapshotVersion()))
	sw.header(s)
	for _, sid := range slices.Sorted(maps.Keys(s.servers)) {
		sw.server(s.servers[sid], s.snapshotVersion())
	}
	for _, name := range slices.Sorted(maps.Keys(s.channels)) {
		sw.channel(s, name, s.channels[name])
	}
	sw.footer()
	sum := sw.sum.Sum(nil)
	sw.bytes(sum)
	if sw.err != nil {
		return "", sw.err
	}
	return hex.EncodeToString(sum), out.Flush()
}

// snapshotVersion is the one that every server of the cluster can read.
func (s *State) snapshotVersion() uint32 {
	if s.level < parkingLevel {
		return 1
	}
	return snapshotVersion
}

// snapshotWriter keeps its first error and does nothing after it.
type snapshotWriter struct {
	out     io.Writer
	sum     hash.Hash
	records uint64
	buf     []byte
	err     error
}

func (w *snapshotWriter) bytes(b []byte) {
	if w.err != nil {
		return
	}
	w.sum.Write(b)
	_, w.err = w.out.Write(b)
}

func (w *snapshotWriter) record(r *fsmpb.SnapshotRecord) {
	if w.err != nil {
		return
	}
	w.buf = append(w.buf[:0], 0, 0, 0, 0)
	w.buf, w.err = proto.MarshalOptions{Deterministic: true}.MarshalAppend(w.buf, r)
	if w.err != nil {
		return
	}
	size := len(w.buf) - 4
	if size > recordBytes {
		w.err = fmt.Errorf("record of %d bytes, at most %d can be read back", size, recordBytes)
		return
	}
	binary.BigEndian.PutUint32(w.buf, uint32(size))
	w.records++
	w.bytes(w.buf)
}

func (w *snapshotWriter) header(s *State) {
	h := &fsmpb.SnapshotHeader{
		ClusterId: s.clusterID, Generation: s.generation, Index: s.index, Forgotten: s.forgotten, Settings: s.settings,
		SettingsIndex: s.settingsIndex, SettingsId: s.settingsID,
	}
	if s.level > firstLevel {
		h.Level = s.level
	}
	w.record(&fsmpb.SnapshotRecord{Record: &fsmpb.SnapshotRecord_Header{Header: h}})
}

func (w *snapshotWriter) server(s *server, version uint32) {
	r := &fsmpb.ServerRecord{
		Sid: s.SID, Stype: s.SType, Zone: s.Zone, NodeId: s.NodeID, Incarnation: s.Incarnation, Addr: s.Addr,
		Via: s.Via, ViaEpoch: s.ViaEpoch, Epoch: s.Epoch, Up: s.Up, Changed: s.Changed,
		LastNumber: s.lastNumber, FirstEpoch: s.firstEpoch, Predecessor: s.predecessor, Parked: uint64(s.parked),
	}
	r.Purged = s.purged && version > 1
	if last := len(s.kept) - 1; last >= 0 {
		r.LastResults, r.LastIndex = s.kept[last].results, s.kept[last].index
		for i, a := range s.kept[:last] {
			number := s.lastNumber - uint64(last-i)
			r.Earlier = append(r.Earlier, &fsmpb.BatchRecord{Number: number, Index: a.index, Results: a.results})
		}
	}
	w.record(&fsmpb.SnapshotRecord{Record: &fsmpb.SnapshotRecord_Server{Server: r}})
}

// channel writes the members in records that one can hold in memory. Options
// are in the first of them; without members they have one of their own.
func (w *snapshotWriter) channel(s *State, name string, c *channel) {
	options := c.options
	if len(c.members) == 0 {
		w.members(&fsmpb.ChannelRecord{Name: name, Changed: c.changed, Options: options})
		return
	}
	for _, sid := range slices.Sorted(maps.Keys(c.members)) {
		uids, players := c.members[sid], s.held[sid].players
		for part := range slices.Chunk(slices.Sorted(maps.Keys(uids)), recordMembers) {
			r := &fsmpb.ChannelRecord{Name: name, Sid: sid, Changed: c.changed, Options: options}
			options = nil
			r.Members = make([]*fsmpb.MemberRecord, 0, len(part))
			for _, uid := range part {
				m := uids[uid]
				r.Members = append(r.Members, &fsmpb.MemberRecord{
					Uid: uid, Session: m.session, Meta: m.bytes(), Added: players[uid].added,
				})
			}
			w.members(r)
		}
	}
}

func (w *snapshotWriter) members(r *fsmpb.ChannelRecord) {
	w.record(&fsmpb.SnapshotRecord{Record: &fsmpb.SnapshotRecord_Channel{Channel: r}})
}

// footer counts the records before it.
func (w *snapshotWriter) footer() {
	w.record(&fsmpb.SnapshotRecord{Record: &fsmpb.SnapshotRecord_Footer{Footer: &fsmpb.SnapshotFooter{Records: w.records}}})
}

// key is a place in the order of a snapshot.
type key struct{ name, sid, uid string }

// compareMembers is the order of channel records, by their place and first uid.
func compareMembers(a, b key) int {
	return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.sid, b.sid), cmp.Compare(a.uid, b.uid))
}
