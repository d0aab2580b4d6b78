package fsm

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/fsm/internal/compact"
	"github.com/pofresh/globalchannel/fsm/internal/snapfile"
)

// ReadSnapshot reads a whole snapshot, of any version, into a new State. Nothing of a
// file that is damaged, truncated, has more behind its end, or was written by a newer
// binary is returned: the error is ErrMalformed, ErrUnknownFormat or that of r.
func ReadSnapshot(r io.Reader) (*State, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	s, err := readSnapshot(in)
	switch {
	case err == nil:
		return s, nil
	case errors.Is(err, snapfile.ErrUnknownFormat):
		err = fmt.Errorf("%w: %w", ErrUnknownFormat, err)
	case errors.Is(err, snapfile.ErrMalformed):
		err = fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil, fmt.Errorf("read snapshot: %w", err)
}

func readSnapshot(in *bufio.Reader) (*State, error) {
	head, err := in.Peek(len(snapfile.Magic) + 4)
	if err == nil && string(head[:len(snapfile.Magic)]) == snapfile.Magic {
		if v := binary.BigEndian.Uint32(head[len(snapfile.Magic):]); v == 1 || v == 2 {
			return readLegacy(in)
		}
	}
	file, err := snapfile.NewReader(in)
	if err != nil {
		return nil, err
	}
	r := &restorer{state: NewState(), file: file}
	if err := r.read(); err != nil {
		return nil, err
	}
	return r.state, nil
}

// restorer reads the sections in parallel, in three rounds: the players, whose ids are
// their places in their sections; the channels; and the ways back, which are collected
// from the channels and then built at once.
type restorer struct {
	state *State
	file  *snapfile.Reader
	head  fsmpb.SnapshotHead
	base  uint64
	ahead snapfile.Packed // the section after those that were taken

	players [shards]restoredPlayers
	workers []*restoreWorker
	common  sync.Mutex // guards what all shards of channels have in common
}

// restoredPlayers are the pairs of a shard's players, one after another.
type restoredPlayers struct {
	pairs []snapfile.Pair
	ends  []uint32 // by rank
}

// restoreWorker is what one goroutine found.
type restoreWorker struct {
	opener *snapfile.Opener
	ways   [shards][]way // by the shard of the player
	counts []int         // memberships by sid
}

// way is a way back of a player in its shard.
type way struct{ local, sid, channel uint32 }

func (r *restorer) read() error {
	for range min(runtime.GOMAXPROCS(0), slabs) {
		opener, err := snapfile.NewOpener()
		if err != nil {
			return err
		}
		defer opener.Close()
		r.workers = append(r.workers, &restoreWorker{opener: opener})
	}
	if err := r.readHead(); err != nil {
		return err
	}
	var err error
	if r.ahead, err = r.next(); err != nil {
		return err
	}
	for _, w := range r.workers {
		w.counts = make([]int, len(r.head.GetSids()))
	}
	if err := r.round(snapfile.Players, r.readPlayers); err != nil {
		return err
	}
	if err := r.round(snapfile.Channels, r.readChannels); err != nil {
		return err
	}
	if r.ahead.Kind != 0 {
		return fmt.Errorf("%w: section %d of kind %d is out of order", ErrMalformed, r.ahead.Number, r.ahead.Kind)
	}
	err = r.work(func(i int, _ *restoreWorker) error {
		for shard := range shards {
			if r.workerOf(shard) != i {
				continue
			}
			if err := r.buildWays(shard); err != nil {
				return err
			}
		}
		return nil
	}, func() {})
	if err != nil {
		return err
	}
	return r.finish()
}

func (r *restorer) readHead() error {
	packed, err := r.next()
	if err != nil {
		return err
	}
	if packed.Kind != snapfile.Header || packed.Number != 0 {
		return fmt.Errorf("%w: the first section is not the header", ErrMalformed)
	}
	raw, err := r.workers[0].opener.Open(packed)
	if err != nil {
		return err
	}
	if err := proto.Unmarshal(raw, &r.head); err != nil {
		return fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}
	if err := checkKnown(r.head.ProtoReflect()); err != nil {
		return err
	}
	s := r.state
	s.setHeader(r.head.GetHeader())
	if s.level > Version {
		return fmt.Errorf("%w: state of level %d, this binary knows up to %d", ErrUnknownFormat, s.level, Version)
	}
	if s.snapshotVersion() != r.file.Version() {
		return fmt.Errorf("%w: snapshot of version %d with a state of level %d", ErrMalformed, r.file.Version(), s.level)
	}
	r.base = s.index
	last := ""
	for _, p := range r.head.GetServers() {
		if !validSID(p.GetSid()) || p.GetSid() <= last {
			return fmt.Errorf("%w: server %q is out of order", ErrMalformed, p.GetSid())
		}
		last = p.GetSid()
		srv, err := serverOf(p)
		if err != nil {
			return err
		}
		s.servers[last] = srv
	}
	last = ""
	for _, sid := range r.head.GetSids() {
		if !validSID(sid) || sid <= last {
			return fmt.Errorf("%w: sid %q is out of order", ErrMalformed, sid)
		}
		last = sid
		s.sids.add(sid)
	}
	return nil
}

// next is the next section; its kind is 0 at the end of the file.
func (r *restorer) next() (snapfile.Packed, error) {
	packed, err := r.file.Next()
	if errors.Is(err, io.EOF) {
		return snapfile.Packed{}, nil
	}
	return packed, err
}

// round reads the sections of a kind, and takes them in parallel.
func (r *restorer) round(kind snapfile.Kind, take func(w *restoreWorker, shard int, raw []byte) error) error {
	queues := make([]chan snapfile.Packed, len(r.workers))
	for i := range queues {
		queues[i] = make(chan snapfile.Packed, 1)
	}
	read := make(chan error, 1)
	quit := make(chan struct{})
	go func() { read <- r.feed(kind, queues, quit) }()
	err := r.work(func(i int, w *restoreWorker) error {
		for packed := range queues[i] {
			raw, err := w.opener.Open(packed)
			if err != nil {
				return err
			}
			if err := take(w, int(packed.Number), raw); err != nil {
				return fmt.Errorf("section %d of kind %d: %w", packed.Number, kind, err)
			}
		}
		return nil
	}, func() { close(quit) })
	return errors.Join(err, <-read)
}

// feed gives each worker the sections of its shards.
func (r *restorer) feed(kind snapfile.Kind, queues []chan snapfile.Packed, quit <-chan struct{}) error {
	defer func() {
		for _, q := range queues {
			close(q)
		}
	}()
	for before := -1; r.ahead.Kind == kind; {
		number := int(r.ahead.Number)
		if number <= before || number >= shards {
			return fmt.Errorf("%w: section %d of kind %d after %d", ErrMalformed, number, kind, before)
		}
		select {
		case queues[r.workerOf(number)] <- r.ahead:
		case <-quit:
			return nil
		}
		before = number
		var err error
		if r.ahead, err = r.next(); err != nil {
			return err
		}
	}
	return nil
}

// workerOf is the worker for a shard: two of them never write to one slab.
func (r *restorer) workerOf(shard int) int { return shard % slabs % len(r.workers) }

// work runs all workers; failed is called once, by the first of them that fails.
func (r *restorer) work(f func(i int, w *restoreWorker) error, failed func()) error {
	var all sync.WaitGroup
	var once sync.Once
	errs := make([]error, len(r.workers))
	for i, w := range r.workers {
		all.Go(func() {
			if errs[i] = f(i, w); errs[i] != nil {
				once.Do(failed)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (r *restorer) readPlayers(_ *restoreWorker, shard int, raw []byte) error {
	p, out := r.state.players[shard], &r.players[shard]
	return snapfile.DecodePlayers(raw, r.base, uint32(len(r.head.GetSids())), func(rank uint32, uid []byte, pairs []snapfile.Pair) error {
		if int(shardOf(uid)) != shard || !validOpText(uid, MaxNameBytes) || !utf8.Valid(uid) {
			return fmt.Errorf("%w: uid %q", ErrMalformed, uid)
		}
		if local := p.texts.Add(compact.Hash(r.state.seed, uid), uid); local != rank+1 {
			return fmt.Errorf("%w: player %d has id %d", ErrMalformed, rank, local)
		}
		out.pairs = append(out.pairs, pairs...)
		out.ends = append(out.ends, uint32(len(out.pairs)))
		return nil
	})
}

func (r *restorer) readChannels(w *restoreWorker, shard int, raw []byte) error {
	s, cs := r.state, r.state.channels[shard]
	known := func(id uint32) bool {
		local := id >> shardBits
		return local != 0 && int(local) <= len(r.players[id&(shards-1)].ends)
	}
	return snapfile.DecodeChannels(raw, r.base, uint32(len(r.head.GetSids())), known, func(name []byte, changed uint64, cells []snapfile.Cell) error {
		if int(shardOf(name)) != shard || !validOpText(name, MaxNameBytes) || !utf8.Valid(name) {
			return fmt.Errorf("%w: channel %q", ErrMalformed, name)
		}
		c := cs.begin(compact.Hash(s.seed, name), uint8(shard), name)
		c.changed = changed
		c.cells = make([]cell, len(cells))
		for i, a := range cells {
			c.cells[i].sid = a.SID + 1
			w.fill(&c.cells[i].members, cs.mem, a, c.id)
			c.size += int32(len(a.Members))
		}
		r.register(c)
		return nil
	})
}

// register puts a channel where those of all shards are.
func (r *restorer) register(c *channel) {
	r.common.Lock()
	defer r.common.Unlock()
	r.state.order.add(c)
	for _, a := range c.cells {
		r.state.sids.link(r.state.sids.at(a.sid), c.id)
	}
}

func (w *restoreWorker) fill(set *compact.Set, mem *compact.Slab, a snapfile.Cell, channel uint32) {
	w.counts[a.SID] += len(a.Members)
	for i, player := range a.Members {
		session := uint64(0)
		if a.Sessions != nil {
			session = a.Sessions[i]
		}
		set.Put(mem, player, session)
		shard := player & (shards - 1)
		w.ways[shard] = append(w.ways[shard], way{local: player >> shardBits, sid: a.SID + 1, channel: channel})
	}
}

// finish counts, and parks the members of lives that are over.
func (r *restorer) finish() error {
	s := r.state
	for i := range r.head.GetSids() {
		n := 0
		for _, w := range r.workers {
			n += w.counts[i]
		}
		sid := s.sids.at(uint32(i) + 1)
		if n == 0 {
			return fmt.Errorf("%w: no members on %q", ErrMalformed, sid.name)
		}
		sid.count = n
		s.count.visible += n
	}
	for i := range shards {
		s.count.named += s.channels[i].names.Len()
	}
	s.count.channels, s.count.unswept = int(r.head.GetChannels()), int(r.head.GetUnswept())
	if s.count.channels < s.count.named || s.count.channels > s.count.named && s.count.unswept == 0 {
		return fmt.Errorf("%w: %d channels, of which %d are counted", ErrMalformed, s.count.named, s.count.channels)
	}
	return s.parkEnded()
}
