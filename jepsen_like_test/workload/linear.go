package workload

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// Linear is workers on all servers who write the same few members of a few
// channels in every way there is, alone and in groups, and read the channels
// linearizably at whatever server they are on. Who did what to whom can't be told
// from one answer: whether all of them fit together is for a search to say.
//
// Half of the writers are callers inside the process of their server, where it is Embedding.
//
// Beside them, alternators add and remove one member of their own by turns and ask
// each time whether that changed anything (alternator.go).
type Linear struct {
	Servers     []Server
	SIDs        []string // what members are put on
	Workers     int      // each on the server of its number, modulo; the same for the others
	Readers     int      // workers that only read
	Alternators int      // their members are on sids whose lives do not end, or their turns are not counted
	Delayed     int      // workers that hold each Add back, see Delay
	Channels    int
	UIDs        int
	Seed        uint64
	Pause       time.Duration // between two operations of a worker: bounds the history, and with it the search
	Timeout     time.Duration // of one write: long, so that most outcomes are known
	Impatience  time.Duration // of one read, so that a server that stands still is asked again before it goes on; and of the writes of half of the workers, who so leave some to take effect later
	History     *history.Recorder

	// Delay above 0 is for members on servers whose lives end during the run. Each write
	// then names the life that is meant, as its worker was last told of it, and those of
	// Delayed workers are sent so long after that, or half of it: players who connected
	// to a server that is gone by now. Lives must be seen, so each server is asked for
	// all of them every Watch.
	Delay, Watch time.Duration

	// LocalReads is a fault on purpose: it sends reads that show what the server
	// has, and notes them as linearizable.
	LocalReads bool

	writes, reads, turns progress // acknowledged, by the server that was asked

	gone atomic.Int64 // writes that were refused because the life that they meant was over
}

// Run works until ctx ends and every operation has returned.
func (l *Linear) Run(ctx context.Context) {
	var wg sync.WaitGroup
	number := 0
	begin := func(n int, work func(w *linearWorker, ctx context.Context)) {
		for i := range n {
			number++
			w := newLinearWorker(l, number, l.Servers[i%len(l.Servers)])
			wg.Go(func() { w.run(ctx, work) })
		}
	}
	begin(l.Workers, (*linearWorker).one)
	begin(l.Readers, (*linearWorker).read)
	begin(l.Alternators, (*linearWorker).alternate)
	begin(l.Delayed, (*linearWorker).addLate)
	if l.Watch > 0 {
		wg.Go(func() { watch(ctx, l.Servers, l.Watch, l.Impatience, l.History) })
	}
	wg.Wait()
}

// Gone is how many writes were refused because the life that they meant was over.
func (l *Linear) Gone() int { return int(l.gone.Load()) }

// Await waits for n more writes, reads and turns of alternators, if there are any, each
// of via by itself.
func (l *Linear) Await(ctx context.Context, n int, via ...string) error {
	goals := []func(context.Context) error{l.writes.goal("writes", n, via), l.reads.goal("reads", n, via)}
	if l.Alternators > 0 {
		goals = append(goals, l.turns.goal("turns", n, via))
	}
	for _, wait := range goals {
		if err := wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// ReadAll reads every shared channel at every server. Where lives end, it lists who is
// there first.
func (l *Linear) ReadAll(ctx context.Context) error {
	if l.Watch > 0 {
		for _, server := range l.Servers {
			new(lives).learn(ctx, server, l.History)
		}
	}
	for _, server := range l.Servers {
		if answered := l.Ask(ctx, server)(); answered < l.Channels {
			return fmt.Errorf("%d of %d reads were answered at %s", answered, l.Channels, server.ID())
		}
	}
	return nil
}

// Ask sends a read of each shared channel to that server and does not wait: what
// the caller does next happens while they are under way. answered waits, and
// counts those that succeeded.
func (l *Linear) Ask(ctx context.Context, server Server) (answered func() int) {
	done := make(chan bool, l.Channels)
	for c := range l.Channels {
		finish := l.begin(ctx, server, history.Event{Channel: channel(c)})
		go func() { done <- finish() }()
	}
	return func() (n int) {
		for range l.Channels {
			if <-done {
				n++
			}
		}
		return n
	}
}

// begin sends a linearizable read and records it; finish waits for its answer.
func (l *Linear) begin(ctx context.Context, server Server, e history.Event) (finish func() bool) {
	e.F, e.Via, e.Linearizable = history.Read, server.ID(), true
	client, err := server.Client()
	if err != nil {
		return func() bool { return false }
	}
	op := l.History.Invoke(e)
	e.Linearizable = !l.LocalReads // of what is sent; it is noted already
	stream, err := client.Members(ctx, request(e))
	return func() bool {
		if err == nil {
			var members []history.Member
			var index uint64
			if members, index, err = collect(stream); err == nil {
				op.Done(history.OK, func(e *history.Event) { e.Index, e.Members = index, members })
				l.reads.add(server.ID())
				return true
			}
		}
		op.Done(history.Fail, func(e *history.Event) { e.Text = err.Error() })
		return false
	}
}

// wire is an operation of a group as the public service takes it.
func wire(w history.Write) *pb.Op {
	kinds := map[history.F]pb.OpKind{
		history.Add: pb.OpKind_OP_KIND_ADD, history.Leave: pb.OpKind_OP_KIND_LEAVE,
		history.LeaveAll: pb.OpKind_OP_KIND_LEAVE_ALL, history.Destroy: pb.OpKind_OP_KIND_DESTROY,
	}
	return &pb.Op{Kind: kinds[w.F], Name: w.Channel, Uid: w.UID, Sid: w.SID, Epoch: w.Epoch}
}
