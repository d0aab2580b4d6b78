package fsm

import (
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/fsm/internal/compact"
)

// place names one membership, or as much of it as an operation is about. Its bytes
// are borrowed: what is kept of them is copied.
type place struct {
	name, sid, uid []byte

	where
}

// where is what uid and name are found by, and what was found when the operation was
// looked ahead at.
type where struct {
	playerHash, channelHash   uint64
	playerFound, channelFound found
	playerShard, channelShard uint8
	known                     bool
}

// found is the local id of a text, or 0, for as long as the texts have that age.
type found struct{ id, age uint32 }

// playerOf is the local id of the player, or 0.
func (t *tables) playerOf(p *place) uint32 {
	texts := t.players[p.playerShard].texts
	if p.playerFound.age == texts.Age() {
		return p.playerFound.id
	}
	return texts.Find(p.playerHash, p.uid)
}

// channelOf is nil if there is none.
func (t *tables) channelOf(p *place) *channel {
	cs := t.channels[p.channelShard]
	switch {
	case p.channelFound.age != cs.names.Age():
		return cs.find(p.channelHash, p.name)
	case p.channelFound.id == 0:
		return nil
	}
	return cs.byID[p.channelFound.id]
}

// placeOf is a place that has been located.
func (t *tables) placeOf(name, sid, uid string) place {
	p := place{name: []byte(name), sid: []byte(sid), uid: []byte(uid)}
	t.locate(&p)
	return p
}

// locate fills in where.
func (t *tables) locate(p *place) {
	if p.known {
		return
	}
	p.where = where{
		playerHash: compact.Hash(t.seed, p.uid), channelHash: compact.Hash(t.seed, p.name),
		playerShard: shardOf(p.uid), channelShard: shardOf(p.name), known: true,
	}
}

// shardOf is where a name or a uid belongs. Snapshots are written by shard, so it
// may never change.
func shardOf(text []byte) uint8 { return uint8(xxhash.Sum64(text) % shards) }

func shardOfString(text string) uint8 { return uint8(xxhash.Sum64String(text) % shards) }

// locks is a set of shards, one bit each.
type locks struct{ players, channels uint64 }

func (l *locks) add(more locks) {
	l.players |= more.players
	l.channels |= more.channels
}

const allShards = 1<<shards - 1

// locksOf finds the shards of some operations, and what they need locked.
func (s *State) locksOf(ops []op) (l locks) {
	for i := range ops {
		o := &ops[i]
		switch o.kind {
		case fsmpb.OpKind_OP_ADD, fsmpb.OpKind_OP_LEAVE:
			l.players |= 1 << o.playerShard
			l.channels |= 1 << o.channelShard
		case fsmpb.OpKind_OP_DESTROY:
			l.channels |= 1 << o.channelShard
		case fsmpb.OpKind_OP_LEAVE_ALL, fsmpb.OpKind_OP_PRUNE:
			l.players |= 1 << o.playerShard
			l.channels |= s.channelsOf(o, len(ops) == 1)
		default: // begins with new tables, or locks by itself what it sweeps
		}
	}
	return l
}

// channelsOf are the shards of the channels that a player is in on a sid. In a
// group the operations before may put it into others.
func (s *State) channelsOf(o *op, alone bool) (l uint64) {
	if !alone {
		return allShards
	}
	p, sid := s.players[o.playerShard], s.sids.known(o.sid)
	local := p.texts.Find(o.playerHash, o.uid)
	if sid == nil || local == 0 {
		return 0
	}
	g, _ := p.stay(local, sid.number)
	for _, id := range g.channels {
		l |= 1 << (id & (shards - 1))
	}
	return l
}

func (s *tables) lock(l locks) {
	for m := l.players; m != 0; m &= m - 1 {
		s.players[bits.TrailingZeros64(m)].mu.Lock()
	}
	for m := l.channels; m != 0; m &= m - 1 {
		s.channels[bits.TrailingZeros64(m)].mu.Lock()
	}
}

func (s *tables) unlock(l locks) {
	for m := l.channels; m != 0; m &= m - 1 {
		s.channels[bits.TrailingZeros64(m)].mu.Unlock()
	}
	for m := l.players; m != 0; m &= m - 1 {
		s.players[bits.TrailingZeros64(m)].mu.Unlock()
	}
}
