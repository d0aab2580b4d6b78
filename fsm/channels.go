package fsm

import (
	"cmp"
	"hash/maphash"
	"slices"

	"github.com/google/btree"

	"github.com/pofresh/globalchannel/fsm/internal/compact"
)

// channels is one shard of the channels, by their names.
type channels struct {
	mu    shardLock
	_     cacheLine // the lock goes to and fro
	names *compact.Texts
	byID  []*channel // by local id, those that have ended and are not cleared away too
	mem   *compact.Slab
	undo  *channelUndo // of a capture that has yet to read this shard

	// Of the entry that is applied; see beside.
	notes []earlier
	gone  []*channel // that have ended
}

// channel is a set of members per sid. It exists while any of its cells belongs to
// a sid that is not dead.
type channel struct {
	names   *compact.Texts // of its shard, where its name is
	id      uint32         // global
	orphans int32          // cells that were taken out and have ways back yet
	changed uint64         // index of its last change; see lastChange
	size    int32          // members in all cells
	noted   int32          // its place in the shard's notes plus 1; 0: the entry that is applied has not changed it
	ended   uint64         // index from which its name no longer finds it; 0: it does
	cells   []cell         // by sid number
}

// cell is a channel's members on one sid: a set of global player ids, and what
// session each of them holds.
type cell struct {
	sid     uint32 // number
	changed uint32 // low half of the index of the last change of who is in it, which is never 0; 0: as restored
	members compact.Set
}

func (c *cell) changedAt(index uint64) { c.changed = max(1, uint32(index)) }

func (c *channel) local() uint32 { return c.id >> shardBits }

// name is borrowed.
func (c *channel) name() []byte { return c.names.Text(c.local()) }

// find is nil if there is none.
func (cs *channels) find(hash uint64, name []byte) *channel {
	if id := cs.names.Find(hash, name); id != 0 {
		return cs.byID[id]
	}
	return nil
}

func (cs *channels) findString(name string) *channel {
	if id := cs.names.FindString(name); id != 0 {
		return cs.byID[id]
	}
	return nil
}

// begin makes a channel, which has to get a member.
func (cs *channels) begin(hash uint64, shard uint8, name []byte) *channel {
	local := cs.names.Add(hash, name)
	c := &channel{names: cs.names, id: local<<shardBits | uint32(shard)}
	for int(local) >= len(cs.byID) {
		cs.byID = append(cs.byID, nil)
	}
	cs.byID[local] = c
	return c
}

// release gives the id and the name's bytes free.
func (cs *channels) release(c *channel) {
	cs.byID[c.local()] = nil
	cs.names.Release(c.local())
}

// cell finds a sid's, or where it would be.
func (c *channel) cell(sid uint32) (at int, found bool) {
	if len(c.cells) <= 32 { // quicker than jumping about
		for at < len(c.cells) && c.cells[at].sid < sid {
			at++
		}
		return at, at < len(c.cells) && c.cells[at].sid == sid
	}
	return slices.BinarySearchFunc(c.cells, sid, func(a cell, sid uint32) int { return cmp.Compare(a.sid, sid) })
}

// insert puts an empty cell there, with little room for more.
func (c *channel) insert(at int, sid uint32) {
	if n := len(c.cells); n == cap(c.cells) {
		c.cells = append(make([]cell, 0, n+1+n/8), c.cells...)
	}
	c.cells = slices.Insert(c.cells, at, cell{sid: sid})
}

func (c *channel) members(sid uint32) *compact.Set {
	if at, ok := c.cell(sid); ok {
		return &c.cells[at].members
	}
	return nil
}

// order is the channels by name, across the shards.
type order struct {
	tree *btree.BTreeG[*channel]
}

func newOrder() *order {
	return &order{tree: btree.NewG(32, func(a, b *channel) bool { return string(a.name()) < string(b.name()) })}
}

func (o *order) add(c *channel) { o.tree.ReplaceOrInsert(c) }

func (o *order) remove(c *channel) { o.tree.Delete(c) }

// probeSeed does not matter: nothing is found by it.
var probeSeed = maphash.MakeSeed()

// probe is something to compare with that is in no shard.
func probe(name []byte) *channel {
	names := compact.NewTexts(new(compact.Slab), probeSeed)
	return &channel{names: names, id: names.Add(0, name) << shardBits}
}

// from visits the channels from a name on, until visit returns false.
func (o *order) from(name string, visit func(c *channel) bool) {
	if name == "" {
		o.tree.Ascend(visit)
	} else {
		o.tree.AscendGreaterOrEqual(probe([]byte(name)), visit)
	}
}
