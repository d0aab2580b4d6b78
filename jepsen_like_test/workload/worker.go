package workload

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/node"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// worker is one client of one server.
type worker struct {
	*SetFull
	number int
	server Server
	sids   []string
	random *rand.Rand

	added  int
	joined []history.Event // elements that it may still take out
	index  uint64          // highest that it was told
}

func newWorker(s *SetFull, number int, server Server, sids []string) *worker {
	return &worker{SetFull: s, number: number, server: server, sids: sids, random: rand.New(rand.NewPCG(s.Seed, uint64(number)))}
}

func (w *worker) run(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for connected(ctx, w.server) {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
		within(ctx, w.Timeout, w.one)
		pause.Reset(w.Pause)
	}
}

// connected waits until the server's connection stands, so that a dead server
// costs one unknown operation and not thousands. False: ctx has ended.
func connected(ctx context.Context, server Server) bool {
	for ctx.Err() == nil {
		if server.Connect(ctx) == nil {
			return true
		} // it waits, and fails only with ctx, before the first connection, or when the server moves
	}
	return false
}

// within gives an operation its time. What was begun is brought to its end:
// stopping the load must not make outcomes unknown.
func within(ctx context.Context, timeout time.Duration, do func(context.Context)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	do(ctx)
}

// one does one operation: of ten, six adds, three leaves and one read.
func (w *worker) one(ctx context.Context) {
	switch n := w.random.IntN(10); {
	case n < 6 || (n < 9 && len(w.joined) == 0):
		w.add(ctx)
	case n < 9:
		w.leave(ctx)
	default:
		w.read(ctx)
	}
}

func (w *worker) add(ctx context.Context) {
	w.added++
	e := history.Event{
		F: history.Add, Channel: channel(w.random.IntN(w.Channels)), UID: fmt.Sprintf("w%d-%d", w.number, w.added),
		SID: w.sids[w.random.IntN(len(w.sids))],
	}
	if w.random.IntN(2) == 0 { // as a backend does whom the connector told its life
		e.Epoch = w.lives.of(e.SID)
	}
	err := w.write(ctx, e, func(ctx context.Context, c pb.GlobalChannelClient) (*pb.WriteResponse, error) {
		return c.Add(ctx, &pb.AddRequest{Name: e.Channel, Uid: e.UID, Sid: e.SID, Epoch: e.Epoch})
	})
	if outcome(err) != history.Fail {
		w.joined = append(w.joined, e)
	}
}

func (w *worker) leave(ctx context.Context) {
	i := w.random.IntN(len(w.joined))
	e := w.joined[i]
	w.joined[i] = w.joined[len(w.joined)-1]
	w.joined = w.joined[:len(w.joined)-1]
	e.F = history.Leave
	_ = w.write(ctx, e, func(ctx context.Context, c pb.GlobalChannelClient) (*pb.WriteResponse, error) {
		return c.Leave(ctx, &pb.LeaveRequest{Name: e.Channel, Uid: e.UID, Sid: e.SID, Epoch: e.Epoch})
	})
}

// write sends one write and records it. The error is for the caller's next step
// only; it is in the history.
func (w *worker) write(ctx context.Context, e history.Event, send func(context.Context, pb.GlobalChannelClient) (*pb.WriteResponse, error)) error {
	client, err := w.server.Client()
	if err != nil {
		return err
	}
	if e.Epoch == 0 && w.lives.of(e.SID) == 0 {
		w.lives.learn(ctx, w.server, w.History)
	}
	e.Worker, e.Via = w.number, w.server.ID()
	op := w.History.Invoke(e)
	r, err := send(ctx, client)
	op.Done(outcome(err), func(e *history.Event) {
		e.Index = r.GetIndex()
		failed(e, err)
	})
	if err == nil {
		w.index = max(w.index, r.GetIndex())
		w.writes.add(w.server.ID())
	} else if errors.Is(node.FromStatus(err), node.ErrServerGone) {
		w.lives.learn(ctx, w.server, w.History) // the life that was meant is over
	}
	return err
}

// read lists a channel at any server, in one of the ways there are. A third of the
// reads carry the highest index that this worker knows, so that they must show all its
// writes wherever it asks.
func (w *worker) read(ctx context.Context) {
	server := w.Servers[w.random.IntN(len(w.Servers))]
	e := history.Event{Worker: w.number, Via: server.ID(), Channel: channel(w.random.IntN(w.Channels))}
	switch w.random.IntN(9) {
	case 0, 1, 2:
		e.MinIndex = w.index
	case 3:
		e.Stale = true
	case 4, 5:
		e.Linearizable = true
	case 6:
		e.MaxStale = cmp.Or(w.Oldest, 300*time.Millisecond)
	}
	if w.random.IntN(2) == 0 {
		e.SID = w.sids[w.random.IntN(len(w.sids))]
	}
	_ = read(ctx, w.History, server, e) // a failed one is in the history
}

func read(ctx context.Context, h *history.Recorder, server Server, e history.Event) error {
	client, err := server.Client()
	if err != nil {
		return err
	}
	e.F = history.Read
	op := h.Invoke(e)
	members, index, err := list(ctx, client, e)
	if err != nil {
		op.Done(history.Fail, func(e *history.Event) { e.Text = err.Error() })
		return err
	}
	op.Done(history.OK, func(e *history.Event) { e.Index, e.Members = index, members })
	return nil
}

func list(ctx context.Context, client pb.GlobalChannelClient, e history.Event) (members []history.Member, index uint64, err error) {
	stream, err := client.Members(ctx, request(e))
	if err != nil {
		return nil, 0, err
	}
	return collect(stream)
}

func request(e history.Event) *pb.MembersRequest {
	return &pb.MembersRequest{
		Name: e.Channel, Sid: e.SID, Stype: e.SType, MinIndex: e.MinIndex,
		Stale: e.Stale, Linearizable: e.Linearizable, MaxStalenessMs: e.MaxStale.Milliseconds(),
	}
}

func collect(stream grpc.ServerStreamingClient[pb.MembersResponse]) (members []history.Member, index uint64, err error) {
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return members, index, nil
		}
		if err != nil {
			return nil, 0, err
		}
		index = max(index, r.GetIndex())
		for _, m := range r.GetMembers() {
			members = append(members, history.Member{UID: m.GetUid(), SID: m.GetSid()})
		}
	}
}
