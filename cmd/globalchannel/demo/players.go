package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pofresh/globalchannel/node"
)

// crowdPlan says who plays on one server.
type crowdPlan struct {
	First  int `json:"first"`  // number of the first player
	Step   int `json:"step"`   // to the next one of this server
	Count  int `json:"count"`  // of this server
	Guilds int `json:"guilds"` // guild:1 to guild:N, over all servers
	Rooms  int `json:"rooms"`
}

const (
	guildSize = 20 // players on average, spread over the servers
	roomSize  = 10

	briskly = 2 * time.Second // between two actions of one player, on average
	gently  = 15 * time.Second
)

// planCrowds deals the players to the servers in turn, so that the members of a
// guild, who have neighbouring numbers, are on all of them.
func planCrowds(servers, players int) []crowdPlan {
	plans := make([]crowdPlan, servers)
	for i := range plans {
		plans[i] = crowdPlan{
			First: i + 1, Step: servers, Count: (players - i + servers - 1) / servers,
			Guilds: (players + guildSize - 1) / guildSize, Rooms: (players + roomSize - 1) / roomSize,
		}
	}
	return plans
}

// sidOf is the server, from 0, that has the players First, First + Step...
func sidOf(i int) string { return fmt.Sprintf("connector-%d", i+1) }

func playerName(number int) string { return fmt.Sprintf("player-%d", number) }

// channels is what a player's server offers; a *node.Node does.
type channels interface {
	Add(ctx context.Context, name, uid, sid string) error
	Leave(ctx context.Context, name, uid, sid string) error
	PushMessage(ctx context.Context, stype, route string, msg []byte, name string, o node.PushOptions) (node.PushResult, error)
}

// crowd is the players of one server.
type crowd struct {
	sid      string
	server   channels
	sessions *sessions
	receipts *receipts
	endMatch func() // ends the match of this server
	out      *outlet
	gate     *gate
	pace     atomic.Int64 // between actions, in nanoseconds
	clock    func() time.Duration
	sums     pushTally
	arrived  sync.WaitGroup // players that have not logged in for the first time
	group    sync.WaitGroup
}

// start sends all players off. They go on until ctx ends; Wait for them then.
func (c *crowd) start(ctx context.Context, plan crowdPlan, seed uint64) {
	for i := range plan.Count {
		number := plan.First + i*plan.Step
		p := &player{
			crowd: c, uid: playerName(number), plan: plan,
			guild: fmt.Sprintf("guild:%d", (number-1)/guildSize+1),
			rnd:   rand.New(rand.NewPCG(seed, uint64(number))),
		}
		c.arrived.Add(1)
		c.group.Go(func() { p.live(ctx) })
	}
	c.group.Go(func() {
		c.arrived.Wait()
		if ctx.Err() == nil {
			_ = c.out.send(ctx, report{Players: plan.Count}) // fails only when nobody reads any more
		}
	})
}

// Wait returns when all players have ended.
func (c *crowd) Wait() { c.group.Wait() }

type player struct {
	*crowd
	uid, guild, room string
	plan             crowdPlan
	rnd              *rand.Rand
}

func (p *player) live(ctx context.Context) {
	p.logIn(ctx)
	p.arrived.Done()
	for p.think(ctx) {
		switch n := p.rnd.IntN(100); {
		case n < 45:
			p.chat(ctx)
		case n < 85:
			p.do(ctx, leave, p.room)
			p.room = p.anyRoom()
			p.do(ctx, join, p.room)
		case n < 92:
			p.do(ctx, leave, p.guild)
			p.do(ctx, join, p.guild)
		default:
			p.logOut(ctx)
			if p.think(ctx) {
				p.logIn(ctx)
			}
		}
	}
}

func (p *player) logIn(ctx context.Context) {
	p.sessions.open(p.uid)
	p.room = p.anyRoom()
	for _, name := range []string{"world", p.guild, p.room} {
		p.do(ctx, join, name)
	}
}

// logOut closes the session first, as a lost connection would: pushes that arrive
// before the leaves do are answered as offline.
func (p *player) logOut(ctx context.Context) {
	p.sessions.close(p.uid)
	for _, name := range []string{p.room, p.guild, "world"} {
		p.do(ctx, leave, name)
	}
}

func (p *player) anyRoom() string { return fmt.Sprintf("room:%d", 1+p.rnd.IntN(p.plan.Rooms)) }

// think waits for the next action, between half and one and a half times the pace.
func (p *player) think(ctx context.Context) bool {
	pace := p.pace.Load()
	return pause(ctx, time.Duration(pace/2+p.rnd.Int64N(pace)))
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// do calls until it is acknowledged, reporting every outcome. To call again is
// right after each kind of error: Add and Leave are idempotent, and a refusal may
// be due to the server's life having just begun.
func (p *player) do(ctx context.Context, kind opKind, channel string) {
	for wait := 50 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, time.Second) {
		if !p.gate.enter(ctx) {
			return
		}
		var err error
		if kind == join {
			err = p.server.Add(ctx, channel, p.uid, p.sid)
		} else {
			err = p.server.Leave(ctx, channel, p.uid, p.sid)
		}
		op := operation{Kind: kind, Channel: channel, UID: p.uid, At: p.clock(), Outcome: classify(err)}
		if err != nil {
			op.Err = err.Error()
		}
		// Inside the gate, so that "settled" comes after it in the queue.
		sent := p.out.send(ctx, report{Ops: []operation{op}})
		p.gate.leave()
		if err == nil || sent != nil || !pause(ctx, wait+time.Duration(p.rnd.Int64N(int64(wait)))) {
			return
		}
	}
}

// classify is the one question a caller has to ask of an error. An error outside
// the three classes would be a bug of the node; taking it for unknown keeps the
// truth honest.
func classify(err error) outcome {
	switch {
	case err == nil:
		return acknowledged
	case errors.Is(err, node.ErrRejected):
		return rejected
	case errors.Is(err, node.ErrNotSent):
		return notSent
	}
	return unknown
}

func (p *player) chat(ctx context.Context) {
	if !p.gate.enter(ctx) {
		return
	}
	defer p.gate.leave()
	res, err := p.server.PushMessage(ctx, stype, "chat", []byte(p.uid+": hello"), p.guild, node.PushOptions{})
	p.sums.add(res, err)
}
