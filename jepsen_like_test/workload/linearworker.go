package workload

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/node"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// linearWorker is one client of one server.
type linearWorker struct {
	*Linear
	number int
	server Server
	random *rand.Rand
	wait   time.Duration // for the answer of a write

	lives lives // that its server has told it of

	// Of an alternator.
	rooms int // used so far
	there bool
}

func newLinearWorker(l *Linear, number int, server Server) *linearWorker {
	w := &linearWorker{Linear: l, number: number, server: server, random: rand.New(rand.NewPCG(l.Seed, uint64(number))), wait: l.Timeout}
	if number <= l.Workers/2 { // the first of each server, where there are two
		w.wait = l.Impatience
	}
	return w
}

func (w *linearWorker) run(ctx context.Context, work func(*linearWorker, context.Context)) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for connected(ctx, w.server) {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
		work(w, ctx)
		pause.Reset(w.Pause)
	}
}

// one does one operation: of twenty, nine reads, and of the others seven on one
// member, three groups, and one that empties a channel or a user's channels.
func (w *linearWorker) one(ctx context.Context) {
	switch n := w.random.IntN(20); {
	case n < 9:
		w.read(ctx)
	case n < 13:
		w.write(ctx, w.single(history.Add))
	case n < 16:
		w.write(ctx, w.single(history.Leave))
	case n < 19:
		w.write(ctx, history.Event{F: history.Apply, Group: w.group()})
	case w.random.IntN(2) == 0:
		w.write(ctx, history.Event{F: history.LeaveAll, UID: w.uid(), SID: w.sid()})
	default:
		w.write(ctx, history.Event{F: history.Destroy, Channel: w.channel()})
	}
}

func (w *linearWorker) channel() string { return channel(w.random.IntN(w.Channels)) }
func (w *linearWorker) uid() string     { return fmt.Sprintf("u%d", w.random.IntN(w.UIDs)) }
func (w *linearWorker) sid() string     { return w.SIDs[w.random.IntN(len(w.SIDs))] }

func (w *linearWorker) single(f history.F) history.Event {
	return history.Event{F: f, Channel: w.channel(), UID: w.uid(), SID: w.sid()}
}

// group is one to four operations, half of the time on one channel, where a read
// must show all of them or none.
func (w *linearWorker) group() (list []history.Write) {
	one, same := w.channel(), w.random.IntN(2) == 0
	for range 1 + w.random.IntN(4) {
		next := history.Write{F: history.Add, Channel: w.channel(), UID: w.uid(), SID: w.sid()}
		if same {
			next.Channel = one
		}
		switch w.random.IntN(12) {
		case 0:
			next.F, next.Channel = history.LeaveAll, ""
		case 1, 2, 3, 4, 5:
			next.F = history.Leave
		}
		list = append(list, next)
	}
	return list
}

// read lists a shared channel, one time in four a single server's members only.
func (w *linearWorker) read(ctx context.Context) {
	e := history.Event{Worker: w.number, Channel: w.channel()}
	if w.random.IntN(4) == 0 {
		e.SID = w.sid()
	}
	within(ctx, w.Impatience, func(ctx context.Context) { w.begin(ctx, w.server, e)() })
}

// write sends one write, records it, and counts it if it was acknowledged.
func (w *linearWorker) write(ctx context.Context, e history.Event) {
	if w.Delay > 0 {
		w.mean(ctx, &e)
	}
	if w.send(ctx, e) == history.OK {
		w.writes.add(w.server.ID())
	}
}

// send sends one write and records it.
func (w *linearWorker) send(ctx context.Context, e history.Event) (result history.Type) {
	way, err := w.way(&e)
	if err != nil {
		return history.Fail
	}
	within(ctx, w.wait, func(ctx context.Context) {
		op := w.History.Invoke(e)
		index, changed, err := way.write(ctx, e)
		result = outcome(err)
		if !way.told(func() {
			op.Done(result, func(e *history.Event) {
				e.Index, e.Changed = index, changed
				failed(e, err)
			})
		}) {
			result = history.Unknown
			op.Done(result, nil)
		}
		if errors.Is(node.FromStatus(err), node.ErrServerGone) {
			w.gone.Add(1)
			w.lives.learn(ctx, w.server, w.History)
		}
	})
	return result
}

// call is the write as the public service takes it.
func call(ctx context.Context, c pb.GlobalChannelClient, e history.Event) (index uint64, changed []bool, err error) {
	var r *pb.WriteResponse
	switch e.F {
	case history.Add:
		r, err = c.Add(ctx, &pb.AddRequest{Name: e.Channel, Uid: e.UID, Sid: e.SID, Epoch: e.Epoch})
	case history.Leave:
		r, err = c.Leave(ctx, &pb.LeaveRequest{Name: e.Channel, Uid: e.UID, Sid: e.SID, Epoch: e.Epoch})
	case history.LeaveAll:
		r, err = c.LeaveAll(ctx, &pb.LeaveAllRequest{Uid: e.UID, Sid: e.SID, Epoch: e.Epoch})
	case history.Destroy:
		r, err = c.Destroy(ctx, &pb.DestroyRequest{Name: e.Channel})
	case history.Apply:
		ops := make([]*pb.Op, len(e.Group))
		for i, w := range e.Group {
			ops[i] = wire(w)
		}
		var group *pb.ApplyResponse
		group, err = c.Apply(ctx, &pb.ApplyRequest{Ops: ops})
		return group.GetIndex(), group.GetChanged(), err
	}
	return r.GetIndex(), nil, err
}
