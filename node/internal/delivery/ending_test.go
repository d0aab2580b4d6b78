package delivery

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	protobuf "google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/transport/peerpb"
)

const (
	yes   = peerpb.DeliverOutcome_DELIVER_DELIVERED
	no    = peerpb.DeliverOutcome_DELIVER_NOT_DELIVERED
	maybe = peerpb.DeliverOutcome_DELIVER_UNKNOWN
)

func wantAnswer(t *testing.T, got Answer, outcome peerpb.DeliverOutcome, reason string) {
	t.Helper()
	if got.Outcome != outcome || !strings.Contains(got.Reason, reason) {
		t.Errorf("%+v; want %v, %q", got, outcome, reason)
	}
}

func TestPush_AbandonedOnesAreSettledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		came := make(chan arrived, 1)
		w := newWorld(t, func(in arrived) { came <- in }, always)
		p, answer := w.push("world", "1")
		in := <-came
		p.Abandon("cancelled", true)
		wantAnswer(t, <-answer, maybe, "cancelled")
		<-in.Context().Done() // or this hangs: the frontend was told
		in.Answer(delivered())
		synctest.Wait()
		p.Abandon("again", true)
		if len(answer) > 0 {
			t.Errorf("settled twice: %+v", <-answer)
		}

		block := make(chan struct{})
		var once sync.Once
		w.onSend = func(*breakable) { once.Do(func() { <-block }) } // a peer that does not read
		_, first := w.push("world", "2")
		synctest.Wait()
		q, second := w.push("world", "3")
		q.Abandon("timeout", false)
		wantAnswer(t, <-second, no, "not sent: timeout")
		close(block)
		(<-came).Answer(delivered())
		wantAnswer(t, <-first, yes, "")
		synctest.Wait()
		if len(came) > 0 {
			t.Errorf("an abandoned push was sent: %v", string((<-came).Msg))
		}
	})
}

func TestLink_HoldsNoAbandonedPushesOfAPeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(in arrived) { in.Answer(delivered()) }, always)
		block := make(chan struct{})
		w.onSend = func(*breakable) { <-block }
		_, first := w.push("world", "first")
		synctest.Wait()
		for range 10_000 {
			p, answer := w.push("world", "x")
			p.Abandon("timeout", false)
			wantAnswer(t, <-answer, no, "")
		}
		l := w.links.byAddr["addr"]
		if n := len(l.queues[1].pushes); n > 200 {
			t.Errorf("%d pushes are held", n)
		}
		close(block)
		wantAnswer(t, <-first, yes, "")
	})
}

func TestLink_UrgentOnesOvertakeWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		w := newWorld(t, func(in arrived) {
			mu.Lock()
			got = append(got, string(in.Msg))
			mu.Unlock()
			in.Answer(delivered())
		}, always)
		block := make(chan struct{})
		w.onSend = func(*breakable) { <-block }
		var answers []<-chan Answer
		for _, m := range []string{"first", "chat", "chat2", "system"} {
			answers = append(answers, w.send(&Push{Body: NewBody(Content{Channel: "world", Route: "r", Msg: []byte(m), Urgent: m == "system"})}))
			synctest.Wait()
		}
		close(block)
		for _, answer := range answers {
			<-answer
		}
		if want := []string{"first", "system", "chat", "chat2"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func TestLink_AnotherProcessAtTheAddressIsSentNothingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handled := make(chan arrived, 10)
		w := newWorld(t, func(in arrived) { handled <- in }, always)
		_, first := w.push("world", "1")
		<-handled
		w.receiver.Swap(NewReceiver(taking(func(in arrived) { handled <- in }), always)).Close() // the new one knows nothing
		wantAnswer(t, <-first, maybe, "knows nothing")
		_, second := w.push("world", "2")
		in := <-handled
		if string(in.Msg) != "2" {
			t.Errorf("%q was sent again", in.Msg)
		}
		in.Answer(delivered())
		wantAnswer(t, <-second, yes, "")
	})
}

func TestLink_WhoCannotBeReachedGotNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(in arrived) { in.Answer(delivered()) }, always)
		w.server.Stop()
		for range 3 {
			_, answer := w.push("world", "1")
			wantAnswer(t, <-answer, no, "unreachable")
		}
	})
}

func TestLinks_CloseSettlesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(arrived) {}, always) // never answers
		_, sent := w.push("world", "1")
		synctest.Wait()
		w.onSend = func(s *breakable) { <-s.Context().Done() }
		_, stuck := w.push("world", "2") // with the stream
		synctest.Wait()
		_, waits := w.push("world", "3")
		w.links.Close()
		wantAnswer(t, <-sent, maybe, "closed")
		wantAnswer(t, <-stuck, maybe, "closed")
		wantAnswer(t, <-waits, no, "closing")
		_, late := w.push("world", "4")
		wantAnswer(t, <-late, no, "closing")
	})
}

func TestLink_EndsWhenNothingIsPushedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(in arrived) { in.Answer(delivered()) }, always)
		count := func() (links, ledgers int) {
			w.links.mu.Lock()
			defer w.links.mu.Unlock()
			r := w.receiver.Load()
			r.mu.Lock()
			defer r.mu.Unlock()
			return len(w.links.byAddr), len(r.ledgers)
		}
		for range 2 {
			_, answer := w.push("world", "1")
			wantAnswer(t, <-answer, yes, "")
			if links, ledgers := count(); links != 1 || ledgers != 1 {
				t.Errorf("%d links, %d ledgers", links, ledgers)
			}
			<-time.After(2 * idleAfter)
			if links, ledgers := count(); links != 0 || ledgers != 0 {
				t.Errorf("at rest: %d links, %d ledgers", links, ledgers)
			}
		}
	})
}

func TestReceiver_ForgetsLinksWhosePusherIsGone(t *testing.T) {
	for _, alive := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := NewReceiver(taking(func(in arrived) { in.Answer(delivered()) }), func(string, string) bool { return alive })
			defer r.Close()
			l, _, err := r.attach(&peerpb.PushLink{Id: make([]byte, idBytes), Stream: 1})
			if err != nil {
				t.Fatal(err)
			}
			in, _ := l.enter(1, &Request{number: 1})
			r.detach(l, 1, false)
			<-time.After(2*orphanAfter + time.Second)
			if ended := in.Context().Err() != nil; ended == alive {
				t.Errorf("alive %v, the push ended %v", alive, ended)
			}
			r.mu.Lock()
			if _, kept := r.ledgers[l.id]; kept != alive {
				t.Errorf("alive %v, kept %v", alive, kept)
			}
			r.mu.Unlock()
			<-time.After(forgetAfter + orphanAfter)
			r.mu.Lock()
			defer r.mu.Unlock()
			if len(r.ledgers) != 0 || r.sweep != nil {
				t.Error("kept for ever")
			}
		})
	}
}

func TestLedger_SaysWhichAnswersItForgot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewReceiver(taking(func(in arrived) { in.Answer(delivered()) }), always)
		l := newLedger(linkID{}, "pusher", "", new(atomic.Int64))
		hello := &peerpb.PushLink{Stream: 1}
		if _, err := l.attach(hello); err != nil {
			t.Fatal(err)
		}
		const pushes = maxKept + 10
		hello = &peerpb.PushLink{Stream: 2}
		for n := range uint64(pushes) {
			b, err := protobuf.Marshal(&peerpb.Push{Number: n + 1})
			if err != nil || !l.take(1, &peerpb.PushRequest{Pushes: [][]byte{b}}, new(Request), r.accept) {
				t.Fatal(err)
			}
			hello.Open = append(hello.Open, n+1)
			for some, _ := l.next(1, new(peerpb.PushResponse)); some; some, _ = l.next(1, new(peerpb.PushResponse)) { // sent, and none acknowledged
			}
		}
		if len(l.answers) > maxKept {
			t.Fatalf("%d answers are kept", len(l.answers))
		}
		welcome, err := l.attach(hello)
		if err != nil || !welcome.GetKnown() || welcome.GetLast() != pushes {
			t.Fatalf("%v %v", welcome, err)
		}
		outcomes := make(map[uint64]peerpb.DeliverOutcome)
		resp := new(peerpb.PushResponse)
		for some, _ := l.next(2, resp); some; some, _ = l.next(2, resp) {
			for _, a := range resp.GetAnswers() {
				outcomes[a.GetNumber()] = a.GetOutcome()
			}
			for _, number := range resp.GetDelivered() {
				outcomes[number] = yes
			}
		}
		for n := range uint64(pushes) {
			want := yes
			if n < 10 {
				want = maybe
			}
			if got, told := outcomes[n+1]; got != want || !told {
				t.Errorf("push %d: %v %v, want %v", n+1, got, told, want)
			}
		}
		if l.take(1, &peerpb.PushRequest{}, new(Request), r.accept) {
			t.Error("the first stream goes on beside the second")
		}
	})
}

func TestLedger_DropsWhatIsAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(in arrived) { in.Answer(delivered()) }, always)
		for range 10 * ackEvery {
			_, answer := w.push("world", "x")
			wantAnswer(t, <-answer, yes, "")
		}
		synctest.Wait()
		for _, l := range w.receiver.Load().ledgers {
			if len(l.answers) > 2*ackEvery || len(l.open) > 0 {
				t.Errorf("%d answers are kept, %d pushes are open", len(l.answers), len(l.open))
			}
		}
	})
}

// oldServer knows no links.
type oldServer struct {
	peerpb.UnimplementedPeerServer
	got chan *peerpb.DeliverRequest
}

func (s oldServer) Deliver(stream peerpb.Peer_DeliverServer) error {
	req, err := stream.Recv()
	if err != nil {
		return err
	}
	s.got <- req
	if req.GetHead().GetRoute() == "stuck" {
		<-stream.Context().Done()
		return status.FromContextError(stream.Context().Err()).Err()
	}
	return stream.Send(&peerpb.DeliverResponse{Outcome: yes, Offline: []string{"bob"}})
}

func TestLink_SendsOldServersEachPushAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan *peerpb.DeliverRequest, 1)
		w := new(world)
		w.receiver.Store(NewReceiver(nil, always))
		w.serve(t, oldServer{got: got})
		_, answer := w.push("world", "hi")
		a := <-answer
		if wantAnswer(t, a, yes, ""); !slices.Equal(a.Offline, []string{"bob"}) {
			t.Errorf("%+v", a)
		}
		if req := <-got; string(req.GetHead().GetMsg()) != "hi" || !slices.Equal(req.GetUids(), []string{"alice", "bob"}) || req.GetHead().GetFrom() != "pusher" {
			t.Errorf("%v", req)
		}
		p := &Push{Body: NewBody(Content{Channel: "world", Route: "stuck"})}
		p.Body.Deadline = time.Now().Add(time.Minute)
		stuck := w.send(p)
		<-got
		p.Abandon("timeout", false)
		wantAnswer(t, <-stuck, maybe, "timeout")
	})
}

func TestBrief_IsShort(t *testing.T) {
	for err, want := range map[error]string{
		status.Error(codes.Unavailable, "gone"): "gone", context.DeadlineExceeded: "timeout", context.Canceled: "cancelled", fmt.Errorf("x"): "x",
	} {
		if got := Brief(err); got != want {
			t.Errorf("%v: %q", err, got)
		}
	}
}
