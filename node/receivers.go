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
	began  time.Time
	kept   *rosters[cell, []string]
}

// cell is the members of a channel on one server.
type cell struct{ name, sid string }

// claim is what a push says of its receivers.
type claim struct {
	*receivers
	fe      *frontend
	sid     string
	epoch   uint64  // the life that is meant
	name    string  // of the channel
	to      players // nil: its members
	index   uint64  // the replica must have it
	arrived int64   // in nanoseconds since receivers.began
	given   bool    // the uids come along
	asked   asked   // nil: nobody can be asked
}

// asked gives the uids of a push, at the latest when they are asked for.
type asked interface{ UIDs() <-chan []string }

// find implements finder.
func (c *claim) find(ctx context.Context) (uids []string, own bool, missed *delivered) {
	if missed := c.check(ctx); missed != nil {
		return nil, false, missed
	}
	if c.given || !c.reach(ctx) {
		uids, missed, reached := c.ask(ctx)
		if !reached {
			return nonempty(uids, true, missed)
		}
	}
	uids, there, err := c.who(ctx)
	switch {
	case err != nil:
		return nil, false, &delivered{outcome: NotDelivered, reason: err.Error()}
	case !there:
		return nil, false, anotherLife()
	}
	if _, all := baseOf(c.to).(everybody); all {
		return nil, false, nil
	}
	return nonempty(uids, false, nil)
}

// nonempty calls no handler for nobody: they have left meanwhile.
func nonempty(uids []string, own bool, missed *delivered) ([]string, bool, *delivered) {
	if missed == nil && len(uids) == 0 {
		missed = &delivered{outcome: Delivered}
	}
	return uids, own, missed
}

// who are the receivers, of everybody nobody in particular. there: the replica has the
// life as the one that is up.
func (c *claim) who(ctx context.Context) (uids []string, there bool, err error) {
	if c.to == nil {
		uids, there = c.members(c.name)
		return uids, there, nil
	}
	l := &looks{ctx: ctx, node: c.reader.node}
	if err := l.look(func(s fsm.Reads) { there = c.up(s) }); err != nil || !there {
		return nil, false, err
	}
	if _, ok := baseOf(c.to).(inChannels); ok {
		uids, err = playersOn(l, c.to, c.sid)
	}
	return uids, true, err
}

// up says that the life is the one that the state shows.
func (c *claim) up(s fsm.Reads) bool {
	srv, known := s.Server(c.sid)
	return known && srv.Up && srv.Epoch == c.epoch
}

// check compares the life that is meant with the one that is here.
func (c *claim) check(ctx context.Context) *delivered {
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

// reach says whether the replica has what the push refers to, and can be relied upon.
func (c *claim) reach(ctx context.Context) bool {
	index := c.needed()
	if c.reader.trusted() != nil {
		return false
	}
	if c.reader.replica.Index() >= index {
		return true
	}
	if c.asked == nil {
		return c.reader.replica.Wait(ctx, index) == nil
	}
	ctx, cancel := context.WithDeadline(ctx, c.began.Add(time.Duration(c.arrived)+behindAfter))
	defer cancel()
	return c.reader.replica.Wait(ctx, index) == nil
}

// members are those of a channel, which did perhaps not change since the last push.
func (c *claim) members(name string) (uids []string, there bool) {
	key, fresh := cell{name, c.sid}, false
	var stamp fsm.Stamp
	var list fsm.List
	c.reader.replica.Read(func(s fsm.Reads) {
		if there = c.up(s); !there {
			return
		}
		stamp = s.StampBySID(name, c.sid)
		if uids, fresh = c.kept.get(key, stamp); !fresh {
			list = s.MembersBySID(name, c.sid)
		}
	})
	if there && !fresh {
		uids = list.UIDs()
		c.kept.put(key, stamp, uids, sizeOf(uids))
	}
	return uids, there
}

// ask gets the uids from the pusher. It may have gone: if the replica gets there meanwhile,
// reached, nobody needs them.
func (c *claim) ask(ctx context.Context) (uids []string, missed *delivered, reached bool) {
	if c.asked == nil {
		return nil, &delivered{outcome: NotDelivered, reason: "the replica is behind"}, false
	}
	var there chan struct{}
	if !c.given {
		there = make(chan struct{})
		waiting, stop := context.WithCancel(ctx)
		defer stop()
		go func() {
			if c.reader.replica.Wait(waiting, c.needed()) == nil && c.reader.trusted() == nil {
				close(there)
			}
		}()
	}
	select {
	case uids := <-c.asked.UIDs():
		return uids, nil, false
	case <-there:
		return nil, nil, true
	case <-ctx.Done():
		return nil, &delivered{outcome: NotDelivered, reason: "the uids have not come in time"}, false
	}
}

// needed is the index that the replica must have. The registration of the life belongs to
// that: members come back with it.
func (c *claim) needed() uint64 { return max(c.index, c.epoch&epochIndex) }
