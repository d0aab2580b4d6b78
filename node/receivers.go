package node

import (
	"context"
	"time"

	"github.com/pofresh/globalchannel/fsm"
)

const (
	// reachTimeout is what a push waits for the answer to a registration that its
	// pusher's replica shows.
	reachTimeout = time.Second
	// behindAfter is what a push waits, from its arrival, for the replica to have what it
	// refers to. Then the pusher is asked for the uids.
	behindAfter = 100 * time.Millisecond

	epochIndex = 1<<48 - 1 // the index of a life's registration, in its epoch
)

// receivers finds out who is meant by the pushes that come here, when it is their turn.
type receivers struct {
	reader *reader
	kept   rosters[cell, []string]
}

// cell is the members of a channel on one server.
type cell struct{ name, sid string }

// claim is what a push says of its receivers.
type claim struct {
	fe      *frontend
	sid     string
	epoch   uint64 // the life that is meant
	to      players
	index   uint64 // the replica must have it
	arrived time.Time
	given   bool                   // the uids come along
	uids    func() <-chan []string // asks for them, unless they do; nil: nobody can be asked
}

// handing is a push that finds its receivers when it is its turn.
func (r *receivers) handing(ctx context.Context, c claim, d *Delivery) *handing {
	h := &handing{ctx: ctx, d: d}
	if _, d.Everybody = baseOf(c.to).(everybody); d.Everybody {
		d.to = c.to
	}
	h.find = func(ctx context.Context) ([]string, *delivered) {
		uids, missed := r.find(ctx, c)
		if missed == nil && c.given {
			c.fe.inbox.grow(h, sizeOf(uids))
		}
		return uids, missed
	}
	return h
}

// find returns the receivers, or what becomes of the push without any.
func (r *receivers) find(ctx context.Context, c claim) ([]string, *delivered) {
	if a := c.check(ctx); a != nil {
		return nil, a
	}
	if c.given || !r.reach(ctx, c) {
		return c.ask(ctx)
	}
	uids, there, err := r.who(ctx, c)
	_, all := baseOf(c.to).(everybody)
	switch {
	case err != nil:
		return nil, &delivered{outcome: NotDelivered, reason: err.Error()}
	case !there:
		return nil, anotherLife()
	case len(uids) == 0 && !all:
		return nil, &delivered{outcome: Delivered} // they have left meanwhile
	}
	return uids, nil
}

// who are the receivers, of everybody nobody in particular. there: the replica has the
// life as the one that is up.
func (r *receivers) who(ctx context.Context, c claim) (uids []string, there bool, err error) {
	if isChannel(c.to) {
		uids, there = r.members(c, laneOf(c.to))
		return uids, there, nil
	}
	l := &looks{ctx: ctx, node: r.reader.node}
	if err := l.look(func(s *fsm.State) { there = c.up(s) }); err != nil || !there {
		return nil, false, err
	}
	if _, ok := baseOf(c.to).(inChannels); ok {
		uids, err = playersOn(l, c.to, c.sid)
	}
	return uids, true, err
}

// up says that the life is the one that the state shows.
func (c claim) up(s *fsm.State) bool {
	srv, known := s.Server(c.sid)
	return known && srv.Up && srv.Epoch == c.epoch
}

// check compares the life that is meant with the one that is here.
func (c claim) check(ctx context.Context) *delivered {
	// The pusher's replica may show a registration before its answer is here.
	now, err := c.fe.epoch(ctx, 0)
	if err == nil && now < c.epoch { // registered again, as the pusher knows and this process does not yet
		reach, cancel := context.WithTimeout(ctx, reachTimeout)
		now, err = c.fe.epoch(reach, c.epoch)
		cancel()
	}
	switch {
	case err != nil:
		return &delivered{outcome: NotDelivered, reason: "the frontend is not registered"}
	case now != c.epoch:
		return anotherLife()
	}
	return nil
}

func anotherLife() *delivered {
	return &delivered{outcome: NotDelivered, reason: "another life of this server answers"}
}

// reach says whether the replica has what the push refers to, and can be relied upon. The
// registration of the life belongs to that: members come back with it.
func (r *receivers) reach(ctx context.Context, c claim) bool {
	index := max(c.index, c.epoch&epochIndex)
	if r.reader.trusted() != nil {
		return false
	}
	if r.reader.replica.Index() >= index {
		return true
	}
	if c.uids == nil {
		return r.reader.replica.Wait(ctx, index) == nil
	}
	ctx, cancel := context.WithDeadline(ctx, c.arrived.Add(behindAfter))
	defer cancel()
	return r.reader.replica.Wait(ctx, index) == nil
}

// members are those of a channel, which did perhaps not change since the last push.
func (r *receivers) members(c claim, name string) (uids []string, there bool) {
	key, fresh := cell{name, c.sid}, false
	var stamp fsm.Stamp
	r.reader.replica.View(func(s *fsm.State) {
		if there = c.up(s); !there {
			return
		}
		stamp = s.Stamp(name)
		if uids, fresh = r.kept.get(key, stamp); !fresh {
			uids = s.MembersBySID(name, c.sid)
		}
	})
	if there && !fresh {
		r.kept.put(key, stamp, uids, sizeOf(uids))
	}
	return uids, there
}

// ask gets the uids from the pusher.
func (c claim) ask(ctx context.Context) ([]string, *delivered) {
	if c.uids == nil {
		return nil, &delivered{outcome: NotDelivered, reason: "the replica is behind"}
	}
	select {
	case uids := <-c.uids():
		return uids, nil
	case <-ctx.Done():
		return nil, &delivered{outcome: NotDelivered, reason: "the replica is behind, and the uids have not come in time"}
	}
}
