package workload

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// Pushes is a caller on each server that adds, removes and pushes, and frontends that
// note what they are handed.
type Pushes struct {
	Pushers  []Pusher
	Targets  []string    // the sids of all frontends
	Attached []*Frontend // those of them that are no servers
	Plain    bool        // pushes are made without any options
	Seed     uint64
	Rest     time.Duration // between two calls of a caller, at most
	History  *history.Recorder
}

// Pusher is a server over all its processes, for one caller.
type Pusher interface {
	ID() string
	Process(ctx context.Context) PushProcess // waits for one that runs; nil: ctx ended
	HangUp()                                 // the caller has ended
}

// PushProcess is one start of a server. What is asked of it is done by this one or by none.
type PushProcess interface {
	Process
	// Lives are the epochs of all frontends that the process knows; nil: it does not tell.
	Lives(ctx context.Context) map[string]uint64
	// Push returns OK with a report, Fail if nothing was sent, or Unknown.
	Push(ctx context.Context, m Message) (history.Type, PushReport, error)
}

// Message is what is pushed, and how.
type Message struct {
	Channel        string
	Bytes          []byte
	Timeout        time.Duration
	Urgent, NoWait bool // never, if pushes are plain
}

// PushReport is what a push reported.
type PushReport struct {
	Answers     []history.Answer
	Undelivered []string
}

// whole says that all of those servers, and no others, have delivered to everybody.
func (r PushReport) whole(servers int) bool {
	for _, a := range r.Answers {
		if a.Outcome != history.Delivered || len(a.Offline) > 0 {
			return false
		}
	}
	return len(r.Answers) == servers && len(r.Undelivered) == 0
}

// Run works until ctx ends, and returns when no call and no handler is busy any more.
func (p *Pushes) Run(ctx context.Context) {
	p.attached(context.WithoutCancel(ctx), func() {
		var group sync.WaitGroup
		for i, server := range p.Pushers {
			c := &pushCaller{Pushes: p, server: server, number: i + 1, rnd: rand.New(rand.NewPCG(p.Seed, uint64(i)))}
			group.Go(func() {
				c.run(ctx)
				server.HangUp()
			})
		}
		group.Wait()
		pause(context.WithoutCancel(ctx), slowest) // what nobody waits for any more
	})
}

// attached does something while the frontends are attached.
func (p *Pushes) attached(ctx context.Context, do func()) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	for i, f := range p.Attached {
		f.begin(p.History, p.Seed, i)
		group.Go(func() { f.run(ctx) })
	}
	do()
	cancel()
	group.Wait()
}

// reachable is the channel of ReadAll; the checker is not told of it.
const reachable = "reachable"

// ReadAll demands that pushes through every server reach everybody again.
func (p *Pushes) ReadAll(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	p.attached(ctx, func() {
		for _, server := range p.Pushers {
			if err = p.reachAll(ctx, server); err != nil {
				return
			}
		}
	})
	return err
}

func (p *Pushes) reachAll(ctx context.Context, server Pusher) error {
	defer server.HangUp()
	return harness.Await(ctx, server.ID()+" to reach all", func(ctx context.Context) error {
		process := server.Process(ctx)
		if process == nil {
			return context.Cause(ctx)
		}
		for _, target := range p.Targets {
			e := history.Event{F: history.Add, Channel: reachable, UID: "from-" + server.ID(), SID: target}
			if _, _, err := process.Write(ctx, e); err != nil {
				return err
			}
		}
		t, r, err := process.Push(ctx, Message{Channel: reachable, Timeout: patience})
		if t != history.OK || !r.whole(len(p.Targets)) {
			return fmt.Errorf("%s %v %+v", t, err, r)
		}
		return nil
	})
}

func sum(msg []byte) string { return fmt.Sprintf("%x", sha256.Sum256(msg)) }

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
