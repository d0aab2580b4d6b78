package workload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// Sessions is players who connect to servers, join rooms, and go: politely, for a newer
// connection, or without their server's noticing.
type Sessions struct {
	Hosts   []Host
	Servers []Server // that are asked who is where
	Players int      // of each host
	Seed    uint64
	Rest    time.Duration // between two things that a player does, at most
	History *history.Recorder
}

// Host is a server over all its processes, for players within.
type Host interface {
	ID() string
	Up(ctx context.Context) HostProcess // waits for one that runs; nil: ctx ended
}

// HostProcess is one start of a server.
type HostProcess interface {
	Number() int
	Alive(note func()) bool // as of Process
	Session(uid string) Connection
	// Online is what the host says of a player when it is asked.
	Online(uid string, there bool)
}

// Connection is one of a player to a server.
type Connection interface {
	Token() uint64
	Add(ctx context.Context, name string) error
	Leave(ctx context.Context, name string) error
	Close() error
}

// Run works until ctx ends and every operation has returned.
func (s *Sessions) Run(ctx context.Context) {
	var group sync.WaitGroup
	number := 0
	random := func() *rand.Rand {
		number++
		return rand.New(rand.NewPCG(s.Seed, uint64(number)))
	}
	for _, h := range s.Hosts {
		for i := range s.Players {
			p := &player{Sessions: s, host: h, uid: fmt.Sprintf("player-%d", i+1), rnd: random(), number: number}
			group.Go(func() { p.run(ctx) })
		}
	}
	for _, server := range s.Servers {
		rnd := random()
		group.Go(func() { s.look(ctx, server, rnd) })
	}
	group.Wait()
}

// look lists rooms at a server.
func (s *Sessions) look(ctx context.Context, server Server, rnd *rand.Rand) {
	for connected(ctx, server) {
		e := history.Event{Via: server.ID(), Channel: rooms[rnd.IntN(len(rooms))]}
		if e.Linearizable = rnd.IntN(2) == 0; !e.Linearizable {
			e.MaxStale = 300 * time.Millisecond
		}
		within(ctx, patience, func(ctx context.Context) { _ = read(ctx, s.History, server, e) }) // a failed one is in the history
		pause(ctx, time.Duration(rnd.Int64N(int64(s.Rest))))
	}
}

// ReadAll lists all rooms everywhere.
func (s *Sessions) ReadAll(ctx context.Context) error {
	for _, server := range s.Servers {
		for _, room := range rooms {
			if err := read(ctx, s.History, server, history.Event{Via: server.ID(), Channel: room, Linearizable: true}); err != nil {
				return fmt.Errorf("read %s at %s: %w", room, server.ID(), err)
			}
		}
	}
	return nil
}

// player is one uid at one server, over its processes. Each server has players of the same
// names: a member is a uid on a sid.
type player struct {
	*Sessions
	host   Host
	uid    string
	rnd    *rand.Rand
	number int

	process HostProcess
	now     Connection // nil: there is none
}

func (p *player) run(ctx context.Context) {
	for {
		h := p.host.Up(ctx)
		if h == nil || ctx.Err() != nil {
			return
		}
		if p.process != h {
			p.process, p.now = h, nil
		}
		rest := p.Rest
		if vanished := p.one(); vanished && p.rnd.IntN(2) == 0 {
			rest += away
		}
		pause(ctx, time.Duration(p.rnd.Int64N(int64(rest))))
	}
}

// away is how long who has vanished may stay so: longer than her server may take to notice.
const away = 3 * time.Minute

// one is one thing that the player does.
func (p *player) one() (vanished bool) {
	if p.now == nil {
		p.now = p.open()
		p.do(history.Add, p.now)
		return false
	}
	switch n := p.rnd.IntN(10); {
	case n < 5:
		p.do(history.Add, p.now)
	case n < 6:
		p.do(history.Leave, p.now)
	case n < 8:
		old := p.now
		p.now = p.open()
		if p.rnd.IntN(2) == 0 { // whose rooms stay hers
			p.do(history.Add, p.now)
		}
		if p.rnd.IntN(3) == 0 { // which is late: it is nothing to the newer one
			p.do([]history.F{history.Leave, history.Add}[p.rnd.IntN(2)], old)
		}
		p.note(history.Closed, old)
		_ = old.Close() // of a valid uid it does not fail
	case n < 9:
		p.online(false)
		p.note(history.Closed, p.now)
		_ = p.now.Close()
		p.now = nil
	default:
		p.online(false)
		p.note(history.Vanished, p.now)
		p.now = nil
		return true
	}
	return false
}

func (p *player) online(there bool) { p.process.Online(p.uid, there) }

func (p *player) open() Connection {
	c := p.process.Session(p.uid)
	p.note(history.Opened, c)
	p.online(true)
	return c
}

// note is of the player's own process, before it is so.
func (p *player) note(f history.F, c Connection) {
	e := history.Event{F: f, SID: p.host.ID(), Start: p.process.Number(), UID: p.uid, Session: c.Token()}
	p.process.Alive(func() { p.History.Note(e) })
}

func (p *player) do(f history.F, c Connection) {
	e := history.Event{
		F: f, Worker: p.number, Via: p.host.ID(), Start: p.process.Number(), Channel: rooms[p.rnd.IntN(len(rooms))],
		UID: p.uid, SID: p.host.ID(), Session: c.Token(),
	}
	op := p.History.Invoke(e)
	wait := patience
	if p.rnd.IntN(3) == 0 { // for the answer that comes with the next life, too
		wait *= 10
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	write := c.Add
	if f == history.Leave {
		write = c.Leave
	}
	err := write(ctx, e.Channel)
	if !p.process.Alive(func() { op.Done(outcome(err), func(e *history.Event) { failed(e, err) }) }) {
		op.Done(history.Unknown, nil)
	}
}
