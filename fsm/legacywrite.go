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
	"github.com/pofresh/globalchannel/fsm/internal/compact"
	"github.com/pofresh/globalchannel/fsm/internal/snapfile"
)

// A snapshot of version 1 or 2 is
//
//	magic (8 bytes) | format version (uint32) | records | SHA-256 of all before (32 bytes)
//
// with each record as length (uint32) and a SnapshotRecord; integers are big
// endian. The records are the header, servers by sid, channels by name, sid and
// uid, and the footer, so that equal states give equal bytes.
//
// Version 2 is of states of level 3: it knows parked members, which are channel
// records of a server that is not up. They are written as long as a server of the
// cluster may be unable to read version 3, and while the state stands still.
const (
	recordMembers = 4096    // members in one record at most
	recordBytes   = 4 << 20 // a record at most; 4,096 members with the longest uid are 1.1 MiB
)

func (s *State) writeLegacy(w io.Writer) (string, error) {
	out := bufio.NewWriterSize(w, 64<<10)
	sw := &legacyWriter{sum: sha256.New(), out: out}
	sw.bytes(binary.BigEndian.AppendUint32([]byte(snapfile.Magic), s.snapshotVersion()))
	sw.record(&fsmpb.SnapshotRecord{Record: &fsmpb.SnapshotRecord_Header{Header: s.header()}})
	for _, sid := range slices.Sorted(maps.Keys(s.servers)) {
		r := s.servers[sid].record()
		r.Purged = r.Purged && s.snapshotVersion() > 1
		sw.record(&fsmpb.SnapshotRecord{Record: &fsmpb.SnapshotRecord_Server{Server: r}})
	}
	s.order.tree.Ascend(func(c *channel) bool {
		sw.channel(s, c)
		return true
	})
	sw.footer()
	sum := sw.sum.Sum(nil)
	sw.bytes(sum)
	if sw.err != nil {
		return "", sw.err
	}
	return hex.EncodeToString(sum), out.Flush()
}

// legacyWriter keeps its first error and does nothing after it.
type legacyWriter struct {
	out     io.Writer
	sum     hash.Hash
	records uint64
	buf     []byte
	err     error
}

func (w *legacyWriter) bytes(b []byte) {
	if w.err != nil {
		return
	}
	w.sum.Write(b)
	_, w.err = w.out.Write(b)
}

func (w *legacyWriter) record(r *fsmpb.SnapshotRecord) {
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

// channel writes the members in records that one can hold in memory.
func (w *legacyWriter) channel(s *State, c *channel) {
	type part struct {
		sid     *sid
		members *compact.Set
	}
	var parts []part
	for i := range c.cells {
		if sid := s.sids.at(c.cells[i].sid); sid.dead == 0 {
			parts = append(parts, part{sid, &c.cells[i].members})
		}
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.sid.name, b.sid.name) })
	for _, p := range parts {
		members := s.memberRecords(c, p.sid, p.members)
		for part := range slices.Chunk(members, recordMembers) {
			w.members(&fsmpb.ChannelRecord{Name: string(c.name()), Sid: p.sid.name, Changed: s.lastChange(c), Members: part})
		}
	}
}

func (s *State) memberRecords(c *channel, sid *sid, members *compact.Set) []*fsmpb.MemberRecord {
	mem := s.channels[c.id&(shards-1)].mem
	records := make([]*fsmpb.MemberRecord, 0, members.Len(mem))
	for player, session := range members.All(mem) {
		p, local := s.player(player)
		g, _ := p.stay(local, sid.number)
		records = append(records, &fsmpb.MemberRecord{Uid: string(p.texts.Text(local)), Session: session, Added: g.added})
	}
	slices.SortFunc(records, func(a, b *fsmpb.MemberRecord) int { return cmp.Compare(a.Uid, b.Uid) })
	return records
}

func (w *legacyWriter) members(r *fsmpb.ChannelRecord) {
	w.record(&fsmpb.SnapshotRecord{Record: &fsmpb.SnapshotRecord_Channel{Channel: r}})
}

// footer counts the records before it.
func (w *legacyWriter) footer() {
	w.record(&fsmpb.SnapshotRecord{Record: &fsmpb.SnapshotRecord_Footer{Footer: &fsmpb.SnapshotFooter{Records: w.records}}})
}

// key is a place in the order of a snapshot.
type key struct{ name, sid, uid string }

// compareMembers is the order of channel records, by their place and first uid.
func compareMembers(a, b key) int {
	return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.sid, b.sid), cmp.Compare(a.uid, b.uid))
}
