package fsm

import (
	"iter"

	"github.com/pofresh/globalchannel/fsm/internal/compact"
)

// players is one shard of the uids that are in any channel, and the ways back from
// them to their channels. Local ids are this shard's, global ones have the shard in
// their low bits.
//
// The ways of a player are one block of words:
//
//	words in use | stays
//
// and each stay, on one sid,
//
//	sid number, 13 bits | number of channels, 7 bits | added, 44 bits | channel ids
//
// Added is the index of the newest Add for that player on that sid. Whoever has more
// ways than fit, a bot for example, has them in a crowd.
type players struct {
	mu     shardLock
	_      cacheLine // the lock goes to and fro
	shard  uint8
	texts  *compact.Texts // the data is the Ref of the block; 0: none, or a crowd
	mem    *compact.Slab
	crowds map[uint32]*crowd
	undo   *playerUndo // of a capture that has yet to read this shard

	// What the entry that is applied has taken away; see beside.
	gone     []uint32
	departed []departed
}

const (
	stayHead = 2

	sidBits, waysBits, addedBits = 13, 7, 44

	// crowdShrinks is well below what makes a crowd, or a bot at the limit would be
	// copied to and fro.
	crowdShrinks = compact.MaxBlock / 2
)

// crowd is the ways of a player who is in very many channels.
type crowd struct {
	stays map[uint32]*crowdStay
	words int // that it would need as a block
}

type crowdStay struct {
	added    uint64
	n        int // channels
	channels compact.Set
}

// stay is what a player has on one sid.
type stay struct {
	sid      uint32
	added    uint64
	channels []uint32 // borrowed
}

func (p *players) block(id uint32) []uint32 {
	ref := compact.Ref(p.texts.Data(id))
	if ref == 0 {
		return nil
	}
	used := p.mem.Block(ref, 1)[0]
	return p.mem.Block(ref, int(used))
}

func stayAt(b []uint32, at int) stay {
	n := waysAt(b, at)
	return stay{
		sid: sidAt(b, at), added: uint64(b[at]&(1<<(addedBits-32)-1))<<32 | uint64(b[at+1]),
		channels: b[at+stayHead : at+stayHead+n : at+stayHead+n],
	}
}

func sidAt(b []uint32, at int) uint32 { return b[at] >> (32 - sidBits) }

func waysAt(b []uint32, at int) int { return int(b[at] >> (addedBits - 32) & (1<<waysBits - 1)) }

func setHead(b []uint32, at int, sid uint32, added uint64, n int) {
	b[at] = sid<<(32-sidBits) | uint32(n)<<(addedBits-32) | uint32(added>>32)
	b[at+1] = uint32(added)
}

// fits says whether a stay can be in a block.
func fits(sid uint32, added uint64, n int) bool {
	return sid < 1<<sidBits && added < 1<<addedBits && n < 1<<waysBits
}

// stays are those of a player, in no order that means anything.
func (p *players) stays(id uint32) iter.Seq[stay] {
	return func(yield func(stay) bool) {
		if c := p.crowds[id]; c != nil {
			for sid, g := range c.stays {
				if !yield(stay{sid: sid, added: g.added, channels: g.channels.AppendKeys(p.mem, nil)}) {
					return
				}
			}
			return
		}
		b := p.block(id)
		for at := 1; at < len(b); {
			g := stayAt(b, at)
			if !yield(g) {
				return
			}
			at += stayHead + len(g.channels)
		}
	}
}

// findStay is where the stay on a sid begins in a block; len(b) or more: nowhere.
func findStay(b []uint32, sid uint32) int {
	at := 1
	for at < len(b) && sidAt(b, at) != sid {
		at += stayHead + waysAt(b, at)
	}
	return at
}

// stay is the one on a sid; false if the player has nothing there.
func (p *players) stay(id, sid uint32) (stay, bool) {
	if len(p.crowds) > 0 {
		if c := p.crowds[id]; c != nil {
			g := c.stays[sid]
			if g == nil {
				return stay{}, false
			}
			return stay{sid: sid, added: g.added, channels: g.channels.AppendKeys(p.mem, nil)}, true
		}
	}
	b := p.block(id)
	at := findStay(b, sid)
	if at >= len(b) {
		return stay{}, false
	}
	return stayAt(b, at), true
}

// stamp sets when a player was added last on a sid where it has ways.
func (p *players) stamp(id, sid uint32, added uint64) {
	if len(p.crowds) > 0 {
		if c := p.crowds[id]; c != nil {
			c.stays[sid].added = added
			return
		}
	}
	b := p.block(id)
	at := findStay(b, sid)
	if !fits(sid, added, 0) {
		p.gather(id).stays[sid].added = added
		return
	}
	setHead(b, at, sid, added, waysAt(b, at))
}

// link notes a channel that the player was not in, and when that was.
func (p *players) link(id, sid, channel uint32, added uint64) {
	if len(p.crowds) > 0 {
		if c := p.crowds[id]; c != nil {
			c.link(p, sid, channel, added)
			return
		}
	}
	b := p.block(id)
	at, n := findStay(b, sid), 0
	if at < len(b) {
		n = waysAt(b, at)
	}
	if len(b)+1+stayHead+1 > compact.MaxBlock || !fits(sid, added, n+1) {
		p.gather(id).link(p, sid, channel, added)
		return
	}
	if at >= len(b) {
		at = max(len(b), 1)
		b = p.splice(id, at, 0, stayHead+1)
		setHead(b, at, sid, added, 1)
		b[at+stayHead] = channel
		return
	}
	b = p.splice(id, at+stayHead+n, 0, 1)
	b[at+stayHead+n] = channel
	setHead(b, at, sid, added, n+1)
}

// unlink takes a channel out, and says whether it was there.
func (p *players) unlink(id, sid, channel uint32) bool {
	if len(p.crowds) > 0 {
		if c := p.crowds[id]; c != nil {
			return c.unlink(p, id, sid, channel)
		}
	}
	b := p.block(id)
	at := findStay(b, sid)
	if at >= len(b) {
		return false
	}
	g := stayAt(b, at)
	for i, c := range g.channels {
		if c != channel {
			continue
		}
		if len(g.channels) == 1 {
			p.splice(id, at, stayHead+1, 0)
			return true
		}
		setHead(b, at, sid, g.added, len(g.channels)-1)
		p.splice(id, at+stayHead+i, 1, 0)
		return true
	}
	return false
}

// idle says that a player has no ways at all.
func (p *players) idle(id uint32) bool { return p.texts.Data(id) == 0 && p.crowds[id] == nil }

// splice makes a gap of add words in place of drop words. A block without stays
// is none. Blocks have a little more room than they need, and keep what they have until
// it is twice that: who comes and goes should not be copied each time.
func (p *players) splice(id uint32, at, drop, add int) []uint32 {
	ref := compact.Ref(p.texts.Data(id))
	if ref == 0 {
		n := 1 + add
		return p.begin(id, n)
	}
	used := int(p.mem.Block(ref, 1)[0])
	n := used - drop + add
	if n == 1 {
		p.mem.Free(ref)
		p.texts.SetData(id, 0)
		return nil
	}
	if room := p.mem.Words(ref); n <= room && room <= max(2*n, 8) {
		b := p.mem.Block(ref, max(n, used))
		copy(b[at+add:n], b[at+drop:used])
		b[0] = uint32(n)
		return b[:n:n]
	}
	old := p.mem.Block(ref, used)
	b := p.begin(id, n)
	copy(b[1:at], old[1:at])
	copy(b[at+add:], old[at+drop:])
	p.mem.Free(ref)
	return b
}

// begin gives a player a new block.
func (p *players) begin(id uint32, n int) []uint32 {
	ref := p.mem.Alloc(min((n+3)&^3, compact.MaxBlock))
	b := p.mem.Block(ref, n)
	b[0] = uint32(n)
	p.texts.SetData(id, uint32(ref))
	return b
}

// gather makes a crowd of a block.
func (p *players) gather(id uint32) *crowd {
	c := &crowd{stays: make(map[uint32]*crowdStay), words: 1}
	for g := range p.stays(id) {
		for _, channel := range g.channels {
			c.link(p, g.sid, channel, g.added)
		}
	}
	if ref := compact.Ref(p.texts.Data(id)); ref != 0 {
		p.mem.Free(ref)
		p.texts.SetData(id, 0)
	}
	if p.crowds == nil {
		p.crowds = make(map[uint32]*crowd)
	}
	p.crowds[id] = c
	return c
}

func (c *crowd) link(p *players, sid, channel uint32, added uint64) {
	g := c.stays[sid]
	if g == nil {
		g = new(crowdStay)
		c.stays[sid] = g
		c.words += stayHead
	}
	g.added = added
	g.channels.Put(p.mem, channel, 0)
	g.n++
	c.words++
}

func (c *crowd) unlink(p *players, id, sid, channel uint32) bool {
	g := c.stays[sid]
	if g == nil || !g.channels.Delete(p.mem, channel) {
		return false
	}
	c.words--
	if g.n--; g.n == 0 {
		delete(c.stays, sid)
		c.words -= stayHead
	}
	if len(c.stays) == 0 {
		delete(p.crowds, id)
		return true
	}
	if c.words < crowdShrinks && c.fits() {
		p.scatter(id, c)
	}
	return true
}

// fits says whether it could be a block again, and not only just.
func (c *crowd) fits() bool {
	for sid, s := range c.stays {
		if !fits(sid, s.added, 2*s.n) {
			return false
		}
	}
	return true
}

// scatter makes a block of a crowd.
func (p *players) scatter(id uint32, c *crowd) {
	delete(p.crowds, id)
	for sid, g := range c.stays {
		for _, channel := range g.channels.AppendKeys(p.mem, nil) {
			p.link(id, sid, channel, g.added)
		}
		g.channels.Clear(p.mem)
	}
}

// sids are those that a player has ways on.
func (p *players) sids(id uint32) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		if c := p.crowds[id]; c != nil {
			for sid := range c.stays {
				if !yield(sid) {
					return
				}
			}
			return
		}
		b := p.block(id)
		for at := 1; at < len(b); at += stayHead + waysAt(b, at) {
			if !yield(sidAt(b, at)) {
				return
			}
		}
	}
}
