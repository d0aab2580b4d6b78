package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/node"
)

// pusher is a caller on one server, one call after another, over its restarts. Half
// of the members it writes are those of its server alone, so that much is owed to
// them; the others are everybody's.
type pusher struct {
	server  *Server
	number  int
	targets []string      // sids of members
	rest    time.Duration // between two calls, at most
	rnd     *rand.Rand
	history *history.Recorder
	pushed  int
}

// patience is for most calls.
const patience = 3 * time.Second

var rooms = []string{"world", "guild", "raid"}

// shortLived is the room that is destroyed now and then.
const shortLived = "raid"

func (w *pusher) run(ctx context.Context) {
	for {
		p := w.server.process(ctx)
		if p == nil || ctx.Err() != nil {
			return
		}
		room := rooms[w.rnd.IntN(len(rooms))]
		// The node's life is longer than that of the load.
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		switch n := w.rnd.IntN(100); {
		case n < 45:
			w.push(context.WithoutCancel(ctx), p, room)
		case n < 80:
			w.write(call, p, history.Event{F: history.Add, Channel: room, UID: w.anybody(), SID: w.target()})
		case n < 96:
			w.write(call, p, history.Event{F: history.Leave, Channel: room, UID: w.anybody(), SID: w.target()})
		case n < 98:
			w.write(call, p, history.Event{F: history.LeaveAll, UID: w.anybody(), SID: w.target()})
		case n < 99:
			w.write(call, p, history.Event{F: history.Destroy, Channel: shortLived})
		}
		cancel()
		pause(ctx, time.Duration(w.rnd.Int64N(int64(w.rest))))
	}
}

func (w *pusher) target() string { return w.targets[w.rnd.IntN(len(w.targets))] }

func (w *pusher) anybody() string {
	switch w.rnd.IntN(10) {
	case 0:
		return fmt.Sprint("ghost-", w.rnd.IntN(2))
	case 1, 2:
		return fmt.Sprint("anybody-", w.rnd.IntN(4))
	}
	return fmt.Sprintf("%s-%d", w.server.cfg.SID, w.rnd.IntN(6))
}

// invoke begins an operation; what it returns ends it, if the process still lives.
func (w *pusher) invoke(p *process, e history.Event) (done func(history.Type, func(*history.Event))) {
	e.Worker, e.Via, e.Start = w.number, p.sid, p.start
	c := w.history.Invoke(e)
	return func(t history.Type, change func(*history.Event)) {
		if !p.Alive(func() { c.Done(t, change) }) {
			c.Done(history.Unknown, nil)
		}
	}
}

func (w *pusher) write(ctx context.Context, p *process, e history.Event) {
	if e.F == history.Add {
		e.Lives = p.lives()
	}
	done := w.invoke(p, e)
	var err error
	switch e.F {
	case history.Add:
		err = p.node.Add(ctx, e.Channel, e.UID, e.SID)
	case history.Leave:
		err = p.node.Leave(ctx, e.Channel, e.UID, e.SID)
	case history.LeaveAll:
		err = p.node.LeaveAll(ctx, e.UID, e.SID)
	case history.Destroy:
		err = p.node.DestroyChannel(ctx, e.Channel)
	}
	switch {
	case err == nil:
		done(history.OK, nil)
	case errors.Is(err, node.ErrRejected), errors.Is(err, node.ErrNotSent):
		done(history.Fail, text(err))
	default:
		done(history.Unknown, text(err))
	}
}

func text(err error) func(*history.Event) {
	return func(e *history.Event) { e.Text = err.Error() }
}

// push pushes, now and then urgently, hastily, or without waiting.
func (w *pusher) push(ctx context.Context, p *process, room string) {
	w.pushed++
	name := fmt.Sprintf("%s/%d/%d/%d", p.sid, p.start, w.number, w.pushed)
	msg := message(w.rnd, name)
	o := node.PushOptions{Timeout: patience}
	switch w.rnd.IntN(8) {
	case 0:
		o.Timeout = time.Duration(1+w.rnd.IntN(300)) * time.Millisecond
	case 1, 2, 3: // may survive its connection
		o.NoWait, o.Timeout = true, 30*time.Second
	}
	e := history.Event{F: history.Push, Channel: room, Msg: name, Sum: sum(msg)}
	if w.rnd.IntN(8) == 0 {
		o.Priority, e.Urgent = node.PrioritySystem, true
	}
	done := w.invoke(p, e)
	r, err := p.node.PushMessage(ctx, SType, "route", msg, room, o)
	if err != nil && !errors.Is(err, node.ErrPushFailed) {
		done(history.Fail, text(err))
		return
	}
	e = report(e, r)
	e.Lives = p.lives()
	done(history.OK, func(to *history.Event) { to.Answers, to.UIDs, to.Lives = e.Answers, e.UIDs, e.Lives })
}

var outcomes = map[node.Outcome]history.Outcome{
	node.Delivered: history.Delivered, node.NotDelivered: history.NotDelivered, node.Unknown: history.Uncertain,
}

// report is e with what a push reported.
func report(e history.Event, r node.PushResult) history.Event {
	for _, s := range r.Servers {
		e.Answers = append(e.Answers, history.Answer{SID: s.SID, Outcome: outcomes[s.Outcome], Offline: s.Failed, Text: s.Reason})
	}
	e.UIDs = slices.Collect(r.Undelivered())
	return e
}
