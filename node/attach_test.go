package node_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// attached is the client's end of an Attach stream.
type attached struct {
	t      *testing.T
	stream pb.GlobalChannel_AttachClient
	life   *pb.Attached
	end    context.CancelFunc // breaks the stream
}

// attach says hello at the agent and waits until the life is registered.
func attach(t *testing.T, ctx context.Context, f *nodetest.Fleet, agent string, hello *pb.Hello) (*attached, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	t.Cleanup(cancel)
	stream, err := client(t, ctx, f, agent).Attach(ctx)
	must(t, err)
	must(t, stream.Send(&pb.AttachRequest{Message: &pb.AttachRequest_Hello{Hello: hello}}))
	resp, err := stream.Recv()
	if err != nil {
		return nil, node.FromStatus(err)
	}
	return &attached{t, stream, resp.GetAttached(), cancel}, nil
}

func mustAttach(t *testing.T, ctx context.Context, f *nodetest.Fleet, agent, sid string) *attached {
	t.Helper()
	a, err := attach(t, ctx, f, agent, &pb.Hello{Sid: sid, Stype: "connector"})
	must(t, err)
	if a.life.GetEpoch() == 0 || a.life.GetIndex() == 0 || uuid.Validate(a.life.GetIncarnation()) != nil {
		t.Errorf("attached as %v", a.life)
	}
	return a
}

// push waits for a whole one: all chunks put together.
func (a *attached) push() *pb.PushDelivery {
	a.t.Helper()
	var whole *pb.PushDelivery
	for {
		resp, err := a.stream.Recv()
		must(a.t, err)
		p := resp.GetPush()
		if whole == nil {
			whole = p
		} else {
			whole.Uids = append(whole.Uids, p.GetUids()...)
		}
		if p.GetId() != whole.GetId() {
			a.t.Errorf("chunk of %d inside %d", p.GetId(), whole.GetId())
		}
		if !p.GetMore() {
			return whole
		}
	}
}

func (a *attached) reply(r *pb.PushReply) {
	a.t.Helper()
	must(a.t, a.stream.Send(&pb.AttachRequest{Message: &pb.AttachRequest_Reply{Reply: r}}))
}

// server is what n says of an attached frontend; ok only if it is registered.
func registered(n *node.Node, sid string) (node.Server, bool) {
	for _, s := range n.Servers() {
		if s.SID == sid {
			return s, true
		}
	}
	return node.Server{}, false
}

// gone waits until the life of sid has ended everywhere, with its members.
func gone(t *testing.T, ctx context.Context, f *nodetest.Fleet, sid string) {
	t.Helper()
	f.Eventually(ctx, func() error {
		for _, n := range f.Nodes() {
			if s, ok := registered(n, sid); ok {
				return fmt.Errorf("%s shows %+v", n.Self().SID, s)
			}
			if got := members(t, ctx, n, "world", node.Stale()); len(got) != 0 {
				return fmt.Errorf("%s shows %v", n.Self().SID, got)
			}
		}
		return nil
	})
}

func TestAttach_MakesAFrontendOfAnotherProcess(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		a := mustAttach(t, ctx, f, "c4", "remote-1")
		n := f.Node("c1")
		must(t, n.Add(ctx, "world", "alice", "remote-1"))
		must(t, n.Add(ctx, "world", "bob", "remote-1"))
		s, ok := registered(n, "remote-1")
		if agent := f.Node("c4").Self(); !ok || s.Via != "c4" || s.Epoch != a.life.GetEpoch() || s.NodeID != agent.NodeID || s.Addr != agent.Addr || s.SType != "connector" {
			t.Errorf("%+v", s)
		}
		for _, pusher := range []string{"c1", "c4"} {
			for _, c := range []struct {
				reply   *pb.PushReply
				outcome node.Outcome
				reason  string
				failed  []string
			}{
				{&pb.PushReply{}, node.Delivered, "", nil},
				{&pb.PushReply{Offline: []string{"bob", "never-a-receiver"}}, node.Delivered, "", []string{"bob"}},
				{&pb.PushReply{Error: "session table is gone"}, node.NotDelivered, "session table is gone", nil},
				{nil, node.Unknown, "", nil},
			} {
				done := make(chan node.PushResult, 1)
				go func() {
					r, _ := f.Node(pusher).PushMessage(ctx, "connector", "chat.say", []byte("hi"), "world", node.PushOptions{Timeout: time.Second})
					done <- r
				}()
				p := a.push()
				if p.GetRoute() != "chat.say" || p.GetChannel() != "world" || p.GetFrom() != pusher || string(p.GetMsg()) != "hi" || p.GetTimeoutMs() <= 0 ||
					!slices.Equal(slices.Sorted(slices.Values(p.GetUids())), []string{"alice", "bob"}) {
					t.Errorf("push %v", p)
				}
				if c.reply != nil {
					c.reply.Id = p.GetId()
					a.reply(c.reply)
				}
				got := (<-done).Servers[0]
				if got.SID != "remote-1" || got.Outcome != c.outcome || !strings.Contains(got.Reason, c.reason) || !slices.Equal(got.Failed, c.failed) {
					t.Errorf("report %+v, want %+v", got, c)
				}
			}
		}
	})
}

func TestAttach_EverybodyIsForTheFrontendToFind(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		a := mustAttach(t, ctx, f, "c1", "remote-1")
		f.WaitEqual(ctx)
		done := make(chan node.PushResult, 1)
		push := func(to node.Audience) {
			r, _ := f.Node("c2").Push(ctx, node.Push{SType: "connector", Route: "r", To: to})
			done <- r
		}
		go push(node.Everybody())
		p := a.push()
		if !p.GetEverybody() || len(p.GetUids()) > 0 {
			t.Errorf("%v", p)
		}
		a.reply(&pb.PushReply{Id: p.GetId(), Offline: []string{"zoe"}})
		reports := func() node.ServerReport {
			r := <-done
			return r.Servers[slices.IndexFunc(r.Servers, func(s node.ServerReport) bool { return s.SID == "remote-1" })]
		}
		if r := reports(); r.Outcome != node.Delivered || !slices.Equal(r.Failed, []string{"zoe"}) {
			t.Errorf("%+v", r)
		}
		go push(node.Everybody().Except(node.UIDs("bob")))
		if r := reports(); r.Outcome != node.NotDelivered || !strings.Contains(r.Reason, "cannot find out") {
			t.Errorf("%+v", r)
		}
	})
}

func TestAttach_CutsALargePushIntoChunks(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		a := mustAttach(t, ctx, f, "c1", "remote-1")
		n := f.Leader(ctx)
		const count = 5000
		long := strings.Repeat("x", 240)
		errs := make(chan error, count)
		for i := range count {
			go func() { errs <- n.Add(ctx, "world", fmt.Sprintf("%s-%d", long, i), "remote-1") }()
		}
		for range count {
			must(t, <-errs)
		}
		done := make(chan node.PushResult, 1)
		go func() {
			r, _ := n.PushMessage(ctx, "connector", "r", nil, "world", node.PushOptions{})
			done <- r
		}()
		p := a.push()
		slices.Sort(p.Uids)
		if got := len(slices.Compact(p.GetUids())); got != count {
			t.Errorf("%d receivers, want %d", got, count)
		}
		a.reply(&pb.PushReply{Id: p.GetId(), Offline: p.GetUids()}) // over the limit of one message of gRPC's default, under ours
		if r := <-done; len(r.Failed) != count {
			t.Errorf("%d failed, want %d; %v", len(r.Failed), count, r.Servers[0].Reason)
		}
	})
}

func TestAttach_OrderlyEndOfTheStreamIsAGoodbye(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		for what, end := range map[string]func(*attached){
			"goodbye": func(a *attached) {
				must(t, a.stream.Send(&pb.AttachRequest{Message: &pb.AttachRequest_Goodbye{Goodbye: &pb.Goodbye{}}}))
				if _, err := a.stream.Recv(); !errors.Is(err, io.EOF) {
					t.Errorf("after goodbye: %v", err)
				}
			},
			"half-closed": func(a *attached) { must(t, a.stream.CloseSend()) },
		} {
			t.Log(what)
			a := mustAttach(t, ctx, f, "c4", "remote-1")
			must(t, f.Node("c1").Add(ctx, "world", "alice", "remote-1"))
			end(a)
			gone(t, ctx, f, "remote-1")
		}
	})
}

// A stream that breaks says nothing of the process behind it.
func TestAttach_BrokenStreamEndsTheLifeAfterReapAfter(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		a := mustAttach(t, ctx, f, "c4", "remote-1")
		must(t, f.Node("c1").Add(ctx, "world", "alice", "remote-1"))
		start := time.Now()
		a.end()
		pause(ctx, 8*time.Second)
		everywhere(t, ctx, f, "world", "alice@remote-1")
		gone(t, ctx, f, "remote-1")
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("gone after %v", took)
		}
	})
}

func TestAttach_SameProcessComesBackHereOrElsewhere(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		hello := &pb.Hello{Sid: "remote-1", Stype: "connector", Incarnation: uuid.NewString()}
		first, err := attach(t, ctx, f, "c4", hello)
		must(t, err)
		must(t, f.Node("c1").Add(ctx, "world", "alice", "remote-1"))
		first.end()
		pause(ctx, 5*time.Second)
		here, err := attach(t, ctx, f, "c4", hello)
		must(t, err)
		pause(ctx, 2*time.Second) // until the leader has heard of it
		here.end()
		pause(ctx, 5*time.Second)
		elsewhere, err := attach(t, ctx, f, "c1", hello)
		must(t, err)
		for _, a := range []*attached{here, elsewhere} {
			if a.life.GetEpoch() != first.life.GetEpoch() {
				t.Errorf("came back as epoch %x, was %x", a.life.GetEpoch(), first.life.GetEpoch())
			}
		}
		pause(ctx, 30*time.Second) // the first agent's silence must not end it
		everywhere(t, ctx, f, "world", "alice@remote-1")
		// Its life ends with the agent's, and the members come back with the process.
		f.Kill("c1")
		gone(t, ctx, f, "remote-1")
		last, err := attach(t, ctx, f, "c2", hello)
		must(t, err)
		if last.life.GetEpoch() <= first.life.GetEpoch() {
			t.Errorf("epoch %x after the end of %x", last.life.GetEpoch(), first.life.GetEpoch())
		}
		everywhere(t, ctx, f, "world", "alice@remote-1")
	})
}

func TestAttach_LifeEndsWithItsAgents(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		for what, end := range map[string]func(){
			"closed":   func() { must(t, f.Node("c4").Close()) },
			"replaced": func() { f.Kill("c4") },
		} {
			t.Log(what)
			a := mustAttach(t, ctx, f, "c4", "remote-1")
			must(t, f.Node("c1").Add(ctx, "world", "alice", "remote-1"))
			end()
			for {
				if _, err := a.stream.Recv(); err != nil {
					break
				}
			}
			must(t, f.Restart("c4").Ready(ctx))
			gone(t, ctx, f, "remote-1")
		}
	})
}

func TestAttach_RefusesASecondLiveStream(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		a := mustAttach(t, ctx, f, "c4", "remote-1")
		for _, agent := range []string{"c4", "c1"} { // where it is, and elsewhere
			if _, err := attach(t, ctx, f, agent, &pb.Hello{Sid: "remote-1", Stype: "connector"}); !errors.Is(err, node.ErrRefused) {
				t.Errorf("at %s: %v", agent, err)
			}
			if _, err := attach(t, ctx, f, agent, &pb.Hello{Sid: "c2", Stype: "connector"}); !errors.Is(err, node.ErrRefused) { // an embedded server's
				t.Errorf("as c2 at %s: %v", agent, err)
			}
		}
		must(t, f.Node("c1").Add(ctx, "world", "alice", "remote-1"))
		if s, ok := registered(f.Node("c1"), "remote-1"); !ok || s.Epoch != a.life.GetEpoch() {
			t.Errorf("the first: %+v", s)
		}
	})
}

func TestAttach_RefusesABadHello(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, server("c1", "connector"))
		for _, hello := range []*pb.Hello{
			{Stype: "connector"}, {Sid: "remote-1"}, {Sid: strings.Repeat("x", 65), Stype: "connector"},
			{Sid: "remote-1", Stype: "a\x00b"}, {Sid: "remote-1", Stype: "connector", Zone: strings.Repeat("z", 65)},
			{Sid: "remote-1", Stype: "connector", Incarnation: "not-a-uuid"},
		} {
			_, err := attach(t, ctx, f, "c1", hello)
			wantError(t, err, node.ErrInvalidArgument)
		}
		stream, err := client(t, ctx, f, "c1").Attach(ctx)
		must(t, err)
		must(t, stream.Send(&pb.AttachRequest{Message: &pb.AttachRequest_Goodbye{Goodbye: &pb.Goodbye{}}}))
		_, err = stream.Recv()
		wantError(t, node.FromStatus(err), node.ErrInvalidArgument)

		silent, err := client(t, ctx, f, "c1").Attach(ctx)
		must(t, err)
		_, err = silent.Recv() // never says hello
		wantError(t, node.FromStatus(err), node.ErrInvalidArgument)
	})
}

func TestAttach_WhoComesBackAtOnceIsNotRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		a := mustAttach(t, ctx, f, "c4", "remote-1")
		f.Isolate("c4") // the end of the life can't be committed yet
		a.end()
		synctest.Wait()              // the agent has noticed; before, it would be a second live stream
		c := client(t, ctx, f, "c4") // a machine that c4 is not cut off from
		stream, err := c.Attach(ctx)
		must(t, err)
		must(t, stream.Send(&pb.AttachRequest{Message: &pb.AttachRequest_Hello{Hello: &pb.Hello{Sid: "remote-1", Stype: "connector"}}}))
		go func() {
			synctest.Wait() // it waits
			f.Heal()
		}()
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(node.FromStatus(err))
		}
		if got := resp.GetAttached().GetEpoch(); got <= a.life.GetEpoch() {
			t.Errorf("epoch %d after %d", got, a.life.GetEpoch())
		}
		for _, agent := range []string{"c1", "c4", "c2"} { // elsewhere, and back
			b := mustAttach(t, ctx, f, agent, "remote-2")
			f.WaitEqual(ctx) // an Add for the life before would be refused, and that ended only now
			must(t, f.Node("c1").Add(ctx, "world", "alice", "remote-2"))
			b.end()
			synctest.Wait()
		}
	})
}

// The agent's own life is over, and it registers again at the same moment.
func TestAttach_ComesBackWithItsFencedAgent(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		f.SetLatency(5 * time.Millisecond)
		hello := &pb.Hello{Sid: "remote-1", Stype: "connector", Incarnation: uuid.NewString()}
		a, err := attach(t, ctx, f, "c4", hello)
		must(t, err)
		must(t, f.Leader(ctx).EndLife(ctx, "c4", f.Node("c4").Self().Epoch))
		for {
			if _, err := a.stream.Recv(); err != nil {
				break
			}
		}
		short, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if _, err := attach(t, short, f, "c4", hello); err != nil {
			t.Errorf("after a minute: %v; c4 is %+v", err, f.Node("c4").Status().Problem)
		}
	})
}

// The new agent says that it is not there, and is to be believed.
func TestAttach_WhoMovedIsReapedWhenItsStreamBreaks(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		hello := &pb.Hello{Sid: "remote-1", Stype: "connector", Incarnation: uuid.NewString()}
		first, err := attach(t, ctx, f, "c4", hello)
		must(t, err)
		must(t, f.Node("c1").Add(ctx, "world", "alice", "remote-1"))
		first.end()
		pause(ctx, 3*time.Second)
		second, err := attach(t, ctx, f, "c1", hello)
		must(t, err)
		pause(ctx, 5*time.Second)
		second.end()
		pause(ctx, time.Minute)
		if s, ok := registered(f.Node("c2"), "remote-1"); ok {
			t.Errorf("a minute after its stream broke: %+v, members %v", s, members(t, ctx, f.Node("c2"), "world"))
		}
	})
}

// Where it was attached first, another process needs a proof like everywhere else.
func TestAttach_WhoMovedIsNotTakenOverWhereItWas(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		hello := &pb.Hello{Sid: "remote-1", Stype: "connector", Incarnation: uuid.NewString()}
		first, err := attach(t, ctx, f, "c4", hello)
		must(t, err)
		first.end()
		pause(ctx, 3*time.Second)
		_, err = attach(t, ctx, f, "c1", hello)
		must(t, err)
		pause(ctx, 3*time.Second)
		if _, err := attach(t, ctx, f, "c4", &pb.Hello{Sid: "remote-1", Stype: "connector"}); !errors.Is(err, node.ErrRefused) {
			t.Errorf("another process took the sid of a live one: %v", err)
		}
	})
}

// A removal that was fenced counts for one return, not for all later ones.
func TestAttach_OldRemovalDoesNotHitALaterAdd(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f, told := fencing(t, ctx)
		hello := &pb.Hello{Sid: "remote-1", Stype: "connector", Incarnation: uuid.NewString()}
		a, err := attach(t, ctx, f, "c4", hello)
		must(t, err)
		c1, c4 := f.Node("c1"), f.Node("c4")
		must(t, c1.Add(ctx, "world", "alice", "remote-1"))
		f.Isolate("c4")
		fate := make(chan error, 1)
		long, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		go func() { fate <- c4.Leave(long, "world", "alice", "remote-1") }()
		f.Eventually(ctx, func() error {
			if _, up := registered(c1, "c4"); up {
				return errors.New("c4 is still up")
			}
			return nil
		})
		f.Heal()
		<-told
		t.Logf("leave: %v", <-fate)
		a.end()
		pause(ctx, 3*time.Second)
		b, err := attach(t, ctx, f, "c4", hello)
		must(t, err)
		must(t, c1.Add(ctx, "world", "alice", "remote-1")) // logged in again
		must(t, f.Leader(ctx).EndLife(ctx, "remote-1", b.life.GetEpoch()))
		for {
			if _, err := b.stream.Recv(); err != nil {
				break
			}
		}
		_, err = attach(t, ctx, f, "c4", hello)
		must(t, err)
		everywhere(t, ctx, f, "world", "alice@remote-1")
	})
}

// Its sid was taken: it can't speak for anybody.
func TestAttach_AtANodeThatHasEndedIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f, _ := fencing(t, ctx)
		first := f.Node("c4")
		c := client(t, ctx, f, "c4")
		reaped(t, ctx, f, func() {
			second := f.Start(node.Config{SID: "c4", SType: "connector", NonVoter: true})
			must(t, second.Ready(ctx))
		})
		<-first.Done()
		short, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		stream, err := c.Attach(short)
		must(t, err)
		must(t, stream.Send(&pb.AttachRequest{Message: &pb.AttachRequest_Hello{Hello: &pb.Hello{Sid: "remote-1", Stype: "connector", Incarnation: uuid.NewString()}}}))
		_, err = stream.Recv()
		if err = node.FromStatus(err); errors.Is(err, context.DeadlineExceeded) || short.Err() != nil {
			t.Errorf("no answer for a minute: %v", err)
		}
	})
}
