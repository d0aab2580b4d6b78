package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"
)

const (
	restartAfter = time.Second      // from a kill to the next start
	reapAfter    = 3 * time.Second  // the least that settings allow: nobody wants to look at a demo for long
	patience     = 90 * time.Second // for any one thing to happen on a busy machine
	tick         = 20 * time.Millisecond
	afterglow    = 500 * time.Millisecond // of load after the last players are back
)

// run is one demo. Everything in it belongs to the goroutine that called play.
type run struct {
	options
	began   time.Time
	out     *printer
	stage   *stage
	fleet   *fleet
	servers []*server
	truth   *truth
	pushes  *deliveries

	leader  leaderReport // of the newest term heard of; nobody once that process is gone
	leaders int          // how many were heard of
	lastAck time.Duration
	failure error // found by a handler; ends the run
}

// play is the whole demo.
func play(ctx context.Context, o options, w io.Writer) (err error) {
	r := &run{options: o, began: time.Now(), truth: newTruth(), pushes: newDeliveries()}
	r.out = &printer{w: w, now: r.now}
	r.out.title("globalchannel demo: %s, %s, %v of load", plural(o.servers, "server"), plural(o.players, "player"), o.duration)
	if r.stage, err = newStage(o.servers); err != nil {
		return err
	}
	if r.fleet, err = newFleet(r.stage); err != nil {
		return errors.Join(err, r.stage.remove())
	}
	r.assign()
	err = r.play(ctx)
	r.fleet.Close()
	return errors.Join(err, r.tidy(ctx, err)) // what was found, and where to look
}

// tidy removes the folder, unless what is in it is needed to understand a failure.
func (r *run) tidy(ctx context.Context, err error) error {
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("logs and data of the servers are kept in %s", r.stage.dir)
	}
	if err := r.stage.remove(); err != nil {
		return fmt.Errorf("remove folder of the demo: %w", err)
	}
	if ctx.Err() != nil {
		r.out.event("ended", "all servers ended, %s removed", r.stage.dir)
	}
	return nil
}

func (r *run) now() time.Duration { return time.Since(r.began) }

// assign writes down who is which server: the first three found the cluster, the
// others join them; all of them know the founders' addresses.
func (r *run) assign() {
	founders := min(3, r.options.servers)
	plans := planCrowds(r.options.servers, r.players)
	for i, addr := range r.stage.addrs {
		sid := sidOf(i)
		a := assignment{
			SID: sid, SType: stype, Listen: addr, DataDir: r.stage.dataDir(sid), SecretFile: r.stage.secretFile,
			Epoch: r.began, Seed: rand.Uint64(), Crowd: plans[i],
		}
		if i < founders {
			a.Expect = founders
		}
		if len(r.stage.addrs) > 1 {
			a.Join = r.stage.addrs[:founders]
		}
		r.servers = append(r.servers, &server{assignment: a})
	}
}

// play follows the script. Each line waits for what it names, or says what is
// missing.
func (r *run) play(ctx context.Context) error {
	r.out.event("servers", "real processes, gossip, fsync and TLS; folder %s", r.stage.dir)
	for _, s := range r.servers {
		if err := r.start(s); err != nil {
			return err
		}
	}
	if err := r.until(ctx, r.everybodyIn); err != nil {
		return interrupted(ctx, err)
	}
	r.out.event("players", "all %s logged in: each joined world, a guild and a room", count(r.players))
	if err := r.kills(ctx); err != nil {
		return interrupted(ctx, err)
	}
	if err := r.untilClock(ctx, max(r.duration, r.now()+afterglow)); err != nil {
		return interrupted(ctx, err)
	}
	verdict := r.check(ctx)
	if !r.keep || ctx.Err() != nil {
		return interrupted(ctx, verdict)
	}
	return errors.Join(verdict, r.goOn(ctx))
}

// kills are the two of the script: somebody at a third, the leader at two thirds.
func (r *run) kills(ctx context.Context) error {
	switch len(r.servers) {
	case 1:
		r.out.event("note", "with 1 server there is one kill, the leader's; writes wait until it is back")
	case 2:
		r.out.event("note", "with 2 servers both are needed for a majority: writes wait until the killed one is back")
	}
	if len(r.servers) > 1 {
		if err := r.untilClock(ctx, r.duration/3); err != nil {
			return err
		}
		// Its players are seen to go before it comes back, where there is a majority to
		// end its life.
		if err := r.killAndWait(ctx, r.follower, "does not lead", len(r.servers) > 2); err != nil {
			return err
		}
	}
	if err := r.untilClock(ctx, r.duration*2/3); err != nil {
		return err
	}
	return r.killAndWait(ctx, r.leading, "the leader", false)
}

// follower is the last server that does not lead, leading the one that does; nil
// while nobody is known to lead.
func (r *run) follower() *server {
	lead := r.leading()
	for i := len(r.servers) - 1; i >= 0 && lead != nil; i-- {
		if s := r.servers[i]; s != lead && s.full {
			return s
		}
	}
	return nil
}

func (r *run) leading() *server {
	for _, s := range r.servers {
		if s.up && (s.SID == r.leader.SID || (s.nodeID != "" && s.nodeID == r.leader.NodeID)) {
			return s
		}
	}
	return nil
}

func (r *run) killAndWait(ctx context.Context, choose func() *server, what string, stay bool) error {
	if err := r.until(ctx, r.everybodyIn, func() []string {
		if choose() == nil {
			return []string{"no server is known to lead"}
		}
		return nil
	}); err != nil {
		return err
	}
	s := choose()
	r.out.event("killed", "%s  pid %d  (SIGKILL; %s)", s.SID, s.proc.pid(), what)
	r.beginKill(s)
	s.kill.stay = stay
	// One that is gone already ended by itself, which its end will tell.
	if err := s.proc.kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", s.SID, err)
	}
	return r.until(ctx, r.everybodyIn)
}

// beginKill notes the moment. The watch for a standstill starts with the newest
// acknowledgement known, wherever it came from.
func (r *run) beginKill(s *server) {
	now := r.now()
	s.kill = &killing{at: now, still: stillness{from: now, before: min(r.lastAck, now)}}
}

func (r *run) start(s *server) error {
	p, err := r.fleet.start(s.assignment)
	if err != nil {
		return err
	}
	s.proc, s.up, s.problem, s.refusal = p, true, "", ""
	s.life++
	again := ""
	if s.life > 1 {
		again = "  same address and data"
	}
	r.out.event("started", "%s  pid %d  %s%s", s.SID, p.pid(), s.Listen, again)
	return nil
}
