package workload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// pushCaller is a caller on one server, one call after another, over its restarts. Most
// of the members that it writes are those of its server alone, so that much is owed to
// them; the others are everybody's.
type pushCaller struct {
	*Pushes
	server Pusher
	number int
	rnd    *rand.Rand
	pushed int
}

// patience is for most calls.
const patience = 3 * time.Second

var rooms = []string{"world", "guild", "raid"}

// shortLived is the room that is destroyed now and then.
const shortLived = "raid"

func (c *pushCaller) run(ctx context.Context) {
	for {
		p := c.server.Process(ctx)
		if p == nil || ctx.Err() != nil {
			return
		}
		room := rooms[c.rnd.IntN(len(rooms))]
		switch n := c.rnd.IntN(100); {
		case n < 45:
			c.push(context.WithoutCancel(ctx), p, room)
		case n < 80:
			c.write(ctx, p, history.Event{F: history.Add, Channel: room, UID: c.anybody(), SID: c.target()})
		case n < 96:
			c.write(ctx, p, history.Event{F: history.Leave, Channel: room, UID: c.anybody(), SID: c.target()})
		case n < 98:
			c.write(ctx, p, history.Event{F: history.LeaveAll, UID: c.anybody(), SID: c.target()})
		case n < 99:
			c.write(ctx, p, history.Event{F: history.Destroy, Channel: shortLived})
		}
		pause(ctx, time.Duration(c.rnd.Int64N(int64(c.Rest))))
	}
}

func (c *pushCaller) target() string { return c.Targets[c.rnd.IntN(len(c.Targets))] }

func (c *pushCaller) anybody() string {
	switch c.rnd.IntN(10) {
	case 0:
		return fmt.Sprint("ghost-", c.rnd.IntN(2))
	case 1, 2:
		return fmt.Sprint("anybody-", c.rnd.IntN(4))
	}
	return fmt.Sprintf("%s-%d", c.server.ID(), c.rnd.IntN(6))
}

// invoke begins an operation; what it returns ends it, if the process still lives.
func (c *pushCaller) invoke(p PushProcess, e history.Event) (done func(history.Type, func(*history.Event))) {
	e.Worker, e.Via, e.Start = c.number, c.server.ID(), p.Number()
	op := c.History.Invoke(e)
	return func(t history.Type, change func(*history.Event)) {
		if !p.Alive(func() { op.Done(t, change) }) {
			op.Done(history.Unknown, nil)
		}
	}
}

func (c *pushCaller) write(ctx context.Context, p PushProcess, e history.Event) {
	if e.F == history.Add {
		if e.Lives = p.Lives(context.WithoutCancel(ctx)); e.Lives == nil {
			return // it stands still: the next call may tell more
		}
	}
	within(ctx, patience, func(ctx context.Context) {
		done := c.invoke(p, e)
		_, _, err := p.Write(ctx, e)
		done(outcome(err), func(e *history.Event) { failed(e, err) })
	})
}

// push pushes, now and then hastily, and if it may, urgently, or without waiting.
func (c *pushCaller) push(ctx context.Context, p PushProcess, room string) {
	c.pushed++
	name := fmt.Sprintf("%s/%d/%d/%d", c.server.ID(), p.Number(), c.number, c.pushed)
	m := Message{Channel: room, Bytes: message(c.rnd, name), Timeout: patience}
	switch c.rnd.IntN(8) {
	case 0:
		m.Timeout = time.Duration(1+c.rnd.IntN(300)) * time.Millisecond
	case 1, 2, 3: // may survive its connection
		if !c.Plain {
			m.NoWait, m.Timeout = true, 30*time.Second
		}
	}
	m.Urgent = c.rnd.IntN(8) == 0 && !c.Plain
	done := c.invoke(p, history.Event{F: history.Push, Channel: room, Msg: name, Sum: sum(m.Bytes), Urgent: m.Urgent})
	t, r, err := p.Push(ctx, m)
	var lives map[string]uint64
	if t == history.OK {
		lives = p.Lives(ctx)
	}
	done(t, func(e *history.Event) {
		e.Answers, e.UIDs, e.Lives = r.Answers, r.Undelivered, lives
		failed(e, err)
	})
}

// message is some bytes that carry their name. Some are so long that they fill frames.
func message(rnd *rand.Rand, name string) []byte {
	body := make([]byte, rnd.IntN(64))
	if rnd.IntN(50) == 0 {
		body = make([]byte, 200<<10)
	}
	for i := range body {
		body[i] = byte(rnd.Uint32())
	}
	return slices.Concat([]byte(name), []byte{0}, body)
}
