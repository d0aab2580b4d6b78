package fsm

import (
	"bytes"
	"cmp"
	"context"
	"runtime"
	"slices"

	"github.com/pofresh/globalchannel/fsm/internal/snapfile"
)

// A shard is read in pieces, and locked for one at a time, which bounds how long a
// write waits for it: about 50 microseconds, in a large state. An entry of many operations may
// meet one piece after another.
const (
	piecePlayers = 32   // players in a piece
	pieceMembers = 1024 // members in a piece, and then up to the end of a small channel
	pieceIDs     = 1024 // ids that are looked at for whether they are in use
)

// readPlayers reads a shard of players as it was at the index. It gives the players
// their ranks, so the channels come after all players.
func (c *capture) readPlayers(ctx context.Context, shard int, out *snapfile.PlayersEncoder) error {
	p, u := c.players[shard], c.playerUndo[shard]
	ids, err := c.orderPlayers(ctx, p, u)
	if err != nil {
		return err
	}
	c.ranks[shard] = make([]uint32, u.high)
	rank := uint32(0)
	out.Reset(c.index)
	var batch playerBatch
	for piece := range slices.Chunk(ids, c.piecePlayers) {
		c.readPairs(p, u, piece, &batch)
		if err := c.interrupted(ctx); err != nil {
			return err
		}
		for i, id := range piece {
			if pairs := batch.of(i); len(pairs) > 0 {
				rank++
				c.ranks[shard][id] = rank
				out.Add(p.texts.Text(id), pairs)
			}
		}
	}
	return c.interrupted(ctx)
}

// interrupted says why not to go on. It is asked after a piece was read, since nobody
// notes what changes from the moment on at which the capture is over. Whoever waited for
// the piece to be read goes first now: with both processors busy the scheduler would leave
// him waiting for up to 10 ms.
func (c *capture) interrupted(ctx context.Context) error {
	runtime.Gosched()
	switch {
	case c.over():
		return errCaptureOver
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return nil
}

// orderPlayers are those who may be in the capture, by uid.
func (c *capture) orderPlayers(ctx context.Context, p *players, u *playerUndo) ([]uint32, error) {
	ids := make([]uint32, 0, u.high)
	for from := uint32(1); from < u.high; from += c.pieceIDs {
		ids = c.playersFrom(p, u, from, ids)
		if err := c.interrupted(ctx); err != nil {
			return nil, err
		}
	}
	sortYielding(ids, func(a, b uint32) int { return bytes.Compare(p.texts.Text(a), p.texts.Text(b)) })
	turn := make([]uint32, u.high)
	for i, id := range ids {
		turn[id] = uint32(i) + 1
	}
	p.mu.Lock()
	u.turn, u.now = turn, 1
	p.mu.Unlock()
	return ids, nil
}

// playersFrom appends some. Who goes later leaves a note, and who comes later is younger.
func (c *capture) playersFrom(p *players, u *playerUndo, from uint32, ids []uint32) []uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := from; id < min(from+c.pieceIDs, u.high); id++ {
		if _, noted := u.past[id]; noted || !p.idle(id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// sortYielding lets others run now and then.
func sortYielding[T any](list []T, compare func(a, b T) int) {
	n := 0
	slices.SortFunc(list, func(a, b T) int {
		if n++; n%512 == 0 {
			runtime.Gosched()
		}
		return compare(a, b)
	})
}

// playerBatch are the pairs of some players, one after another.
type playerBatch struct {
	pairs []snapfile.Pair
	ends  []int
}

func (b *playerBatch) of(i int) []snapfile.Pair {
	start := 0
	if i > 0 {
		start = b.ends[i-1]
	}
	return b.pairs[start:b.ends[i]]
}

func (c *capture) readPairs(p *players, u *playerUndo, ids []uint32, b *playerBatch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !c.clean {
		for i := range shards { // for alive
			c.channels[i].mu.Lock()
			defer c.channels[i].mu.Unlock()
		}
	}
	b.pairs, b.ends = b.pairs[:0], b.ends[:0]
	for _, id := range ids {
		start, noted := len(b.pairs), u.past[id]
		for g := range p.stays(id) {
			if !slices.ContainsFunc(noted, func(w pastPair) bool { return w.sid == g.sid }) && c.alive(g) {
				b.pairs = append(b.pairs, snapfile.Pair{SID: c.number(g.sid) - 1, Added: g.added})
			}
		}
		for _, w := range noted {
			if w.alive {
				b.pairs = append(b.pairs, snapfile.Pair{SID: c.number(w.sid) - 1, Added: w.added})
			}
		}
		slices.SortFunc(b.pairs[start:], func(x, y snapfile.Pair) int { return cmp.Compare(x.SID, y.SID) })
		b.ends = append(b.ends, len(b.pairs))
		delete(u.past, id)
		u.now++
	}
}

// readChannels reads a shard of channels as it was at the index.
func (c *capture) readChannels(ctx context.Context, shard int, out *snapfile.ChannelsEncoder) error {
	cs, u := c.channels[shard], c.channelUndo[shard]
	list, err := c.orderChannels(ctx, cs, u)
	if err != nil {
		return err
	}
	out.Reset(c.index)
	var b memberBatch
	for len(list) > 0 || b.open {
		list = c.readPiece(cs, u, list, &b)
		if err := c.interrupted(ctx); err != nil {
			return err
		}
		c.encode(&b, out)
	}
	return c.interrupted(ctx)
}

func (c *capture) orderChannels(ctx context.Context, cs *channels, u *channelUndo) ([]*channel, error) {
	var list []*channel
	for from := uint32(1); from < u.high; from += c.pieceIDs {
		list = c.channelsFrom(cs, u, from, list)
		if err := c.interrupted(ctx); err != nil {
			return nil, err
		}
	}
	sortYielding(list, func(a, b *channel) int { return bytes.Compare(a.name(), b.name()) })
	turn := make([]uint32, u.high)
	for i, ch := range list {
		turn[ch.local()] = uint32(i) + 1
	}
	cs.mu.Lock()
	u.turn, u.now = turn, 1
	cs.mu.Unlock()
	return list, nil
}

// channelsFrom appends some. One that is younger than the capture and has the id of an
// older one has notes that nobody was in it.
func (c *capture) channelsFrom(cs *channels, u *channelUndo, from uint32, list []*channel) []*channel {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	end := min(int(from+c.pieceIDs), int(u.high), len(cs.byID))
	for _, ch := range cs.byID[min(int(from), end):end] {
		if ch != nil && (ch.ended == 0 || ch.ended > c.index) {
			list = append(list, ch)
		}
	}
	return list
}

// memberBatch are channels with their members, the last of which may be open: there
// is more of it.
type memberBatch struct {
	channels []readChannel
	members  []readMember
	sessions bool // any is not 0
	open     bool

	out  []snapfile.Cell // to be used again
	ids  []uint32
	held []uint64
}

type readChannel struct {
	channel *channel
	changed uint64
	end     int // of its members
}

// readMember has its sid's number in the upper half, and below it the player, whose id is
// replaced by the canonical one.
type readMember struct{ key, session uint64 }

// readPiece reads on, and gives what is left of the list.
func (c *capture) readPiece(cs *channels, u *channelUndo, list []*channel, b *memberBatch) []*channel {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c.over() { // and lost cells may have been swept
		return list
	}
	for before := len(b.members); len(list) > 0 && len(b.members)-before < c.pieceMembers; {
		ch := list[0]
		if !b.open {
			changed := c.lastChange(ch)
			if p := u.past[ch.local()]; p != nil {
				changed = p.changed
			}
			b.channels = append(b.channels, readChannel{channel: ch, changed: changed})
		}
		if b.open = !c.readChannel(cs, u, ch, b); b.open {
			break
		}
		b.channels[len(b.channels)-1].end = len(b.members)
		list = list[1:]
		delete(u.past, ch.local())
		u.now, u.at = u.now+1, mark{}
	}
	return list
}

// readChannel reads on in a channel, and says whether that was its end.
func (c *capture) readChannel(cs *channels, u *channelUndo, ch *channel, b *memberBatch) bool {
	p := u.past[ch.local()]
	for before := len(b.members); ; {
		a := nextCell(ch, p, u.at.sid)
		if a == nil {
			break
		}
		if len(b.members)-before >= c.pieceMembers {
			return false
		}
		number := c.number(a.sid)
		if number == 0 {
			u.at = mark{sid: a.sid + 1}
			continue
		}
		from := u.at.order
		if a.sid != u.at.sid {
			from = 0
		}
		next, done := a.members.Scan(cs.mem, from, c.pieceMembers, func(player uint32, session uint64) {
			if p == nil || p.members.of(pair{a.sid, player}) == nil {
				b.add(number, player, session)
			}
		})
		if u.at = (mark{sid: a.sid, order: next}); done {
			u.at = mark{sid: a.sid + 1}
		}
	}
	if p != nil {
		for _, n := range p.members.list {
			if n.was.there {
				b.add(c.number(n.key.sid), n.key.player, n.was.session)
			}
		}
	}
	return true
}

// nextCell is the one of the lowest sid from the given one on, of those that the
// channel has or had.
func nextCell(ch *channel, p *past, from uint32) *cell {
	var next *cell
	if at, _ := ch.cell(from); at < len(ch.cells) {
		next = &ch.cells[at]
	}
	if p == nil {
		return next
	}
	for i := range p.cells {
		if a := &p.cells[i]; a.sid >= from && (next == nil || a.sid < next.sid) {
			next = a
		}
	}
	return next
}

func (b *memberBatch) add(number, player uint32, session uint64) {
	b.members = append(b.members, readMember{key: uint64(number-1)<<32 | uint64(player), session: session})
	b.sessions = b.sessions || session != 0
}

// encode writes the channels that are complete, and keeps the one that is open.
func (c *capture) encode(b *memberBatch, out *snapfile.ChannelsEncoder) {
	start := 0
	complete := b.channels
	if b.open {
		complete = complete[:len(complete)-1]
	}
	for _, r := range complete {
		if members := b.members[start:r.end]; len(members) > 0 {
			c.rename(members)
			out.Add(r.channel.name(), r.changed, b.cells(members))
		}
		start = r.end
	}
	b.channels = append(b.channels[:0], b.channels[len(complete):]...)
	b.members = append(b.members[:0], b.members[start:]...)
	if !b.open {
		b.sessions = false
	}
}

// rename gives members their canonical ids and order.
func (c *capture) rename(members []readMember) {
	for i := range members {
		id := uint32(members[i].key)
		shard := id & (shards - 1)
		canonical := c.ranks[shard][id>>shardBits]<<shardBits | shard
		members[i].key = members[i].key&^(1<<32-1) | uint64(canonical)
	}
	sortYielding(members, func(a, b readMember) int { return cmp.Compare(a.key, b.key) })
}

// cells are valid until the next ones.
func (b *memberBatch) cells(members []readMember) []snapfile.Cell {
	b.out = b.out[:0]
	b.ids, b.held = slices.Grow(b.ids[:0], len(members)), slices.Grow(b.held[:0], len(members))
	for _, m := range members {
		b.ids = append(b.ids, uint32(m.key))
		b.held = append(b.held, m.session)
	}
	for start := 0; start < len(members); {
		sid, end := members[start].key>>32, start
		for end < len(members) && members[end].key>>32 == sid {
			end++
		}
		a := snapfile.Cell{SID: uint32(sid), Members: b.ids[start:end]}
		if b.sessions {
			a.Sessions = b.held[start:end]
		}
		b.out = append(b.out, a)
		start = end
	}
	return b.out
}
