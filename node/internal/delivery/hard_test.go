package delivery

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pofresh/globalchannel/transport/peerpb"
)

func pushOf(c Content) *Push {
	p := &Push{SID: "frontend", Epoch: 7, Body: NewBody(c)}
	p.Body.Deadline = time.Now().Add(pushTime)
	return p
}

func (w *world) stream(i int) *breakable {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.streams[i]
}

func TestLink_ALostWelcomeOfAForgetfulServerIsNoReasonToSendAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var handed atomic.Int32
		w := newWorld(t, func(arrived) { handed.Add(1) }, always)
		_, answer := w.push("world", "1")
		synctest.Wait()
		r := w.receiver.Load()
		r.mu.Lock()
		clear(r.ledgers) // as after a long time, or in another process
		r.mu.Unlock()
		w.onRecv = func(s *breakable) {
			if s.number == 2 {
				s.cut() // its welcome is lost
			}
		}
		w.stream(0).cut()
		wantAnswer(t, <-answer, maybe, "forgotten")
		if handed.Load() != 1 {
			t.Errorf("handed over %d times", handed.Load())
		}
	})
}

func TestLink_APushThatCannotBeSentHarmsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(in arrived) { in.Answer(delivered()) }, always)
		bad := w.send(pushOf(Content{Channel: "world", Route: "r", Audience: make([]byte, 5<<20)})) // more than gRPC takes
		synctest.Wait()
		_, good := w.push("world", "small")
		wantAnswer(t, <-good, yes, "")
		select {
		case a := <-bad:
			wantAnswer(t, a, maybe, "")
		case <-time.After(pushTime):
		}
		if w.begun > 20 { // each of them asks the other end for a welcome
			t.Errorf("%d streams were opened", w.begun)
		}
	})
}

func TestLink_AnAnswerThatCannotBeSentHarmsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(in arrived) {
			a := delivered()
			if string(in.Msg) == "bad" {
				a.Offline = []string{"\xff"}
			}
			in.Answer(a)
		}, always)
		_, bad := w.push("world", "bad")
		wantAnswer(t, <-bad, maybe, "cannot be sent")
		_, good := w.push("world", "good")
		wantAnswer(t, <-good, yes, "")
	})
}

func TestReceiver_APusherThatIsGoneHoldsUpNobody(t *testing.T) {
	for _, alive := range []bool{true, false} { // as far as is known
		synctest.Test(t, func(t *testing.T) {
			came := make(chan arrived, 1)
			w := newWorld(t, func(in arrived) {
				in.UIDs()
				came <- in
			}, func(string, string) bool { return alive })
			w.onSend = func(s *breakable) {
				if s.number == 1 && len(came) > 0 {
					s.cut()
				}
			}
			w.push("world", "1")
			in := <-came
			w.stream(0).cut()
			w.links.Close()
			began := time.Now()
			select {
			case <-in.Context().Done():
			case <-time.After(pushTime / 2):
				t.Errorf("alive %v: it waits for uids after %v", alive, time.Since(began))
			}
			in.Answer(delivered())
		})
	}
}

func TestIncoming_AnsweredOnesEndWithTheirAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		came := make(chan arrived, 1)
		w := newWorld(t, func(in arrived) { came <- in }, always)
		_, answer := w.push("world", "1")
		in := <-came
		stop := in.patience.AfterFunc(func() { t.Error("the deadline passed") }) // as of one that waits in a queue
		stop()
		in.Answer(delivered())
		wantAnswer(t, <-answer, yes, "")
		if in.Context().Err() == nil || in.patience.timer.Stop() {
			t.Error("its timer runs on, and keeps it in memory")
		}
	})
}

func TestLink_UrgentOnesDoNotWaitForManyUIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(in arrived) { in.Answer(delivered()) }, always)
		w.onSend = func(*breakable) { <-time.After(10 * time.Millisecond) } // a slow line
		uids := make([]string, 200_000)
		for i := range uids {
			uids[i] = fmt.Sprintf("0123456789abcdef-%015d", i)
		}
		many := pushOf(Content{Channel: "world", Route: "r"})
		many.Body.Given = true
		slow := w.send(many, uids...)
		<-time.After(15 * time.Millisecond)
		began := time.Now()
		wantAnswer(t, <-w.send(pushOf(Content{Channel: "other", Route: "r", Urgent: true})), yes, "")
		if took := time.Since(began); took > 50*time.Millisecond {
			t.Errorf("took %v", took)
		}
		wantAnswer(t, <-slow, yes, "")
	})
}

func TestLedger_HoldsSoManyUIDsAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		given := new(atomic.Int64)
		l := newLedger(linkID{}, "pusher", "", given)
		if _, err := l.attach(&peerpb.PushLink{Stream: 1}); err != nil {
			t.Fatal(err)
		}
		uids := make([]string, 1<<20)
		for i := range uids {
			uids[i] = "0123456789abcdef" // 32 bytes with its header
		}
		var all []*Incoming
		for n := range uint64(10) {
			in, _ := l.enter(1, &Request{number: n + 1, Given: true})
			l.heed(1, &peerpb.PushRequest{Uids: []*peerpb.PushUids{{Number: n + 1, Uids: uids}}})
			all = append(all, in)
		}
		for n, in := range all {
			if refused := in.Context().Err() != nil; refused != (n >= 8) {
				t.Errorf("push %d: refused %v", n, refused)
			}
			in.Answer(delivered())
		}
		if given.Load() != 0 {
			t.Errorf("%d bytes are held at rest", given.Load())
		}
	})
}

// slowOldServer counts the calls that it has.
type slowOldServer struct {
	peerpb.UnimplementedPeerServer
	calls, most atomic.Int32
	open        chan struct{}
}

func (o *slowOldServer) Deliver(s peerpb.Peer_DeliverServer) error {
	o.most.Store(max(o.most.Load(), o.calls.Add(1)))
	defer o.calls.Add(-1)
	select {
	case <-o.open:
		return s.Send(&peerpb.DeliverResponse{Outcome: yes})
	case <-s.Context().Done():
		return status.Error(codes.Canceled, context.Cause(s.Context()).Error())
	}
}

func TestLink_AnOldServerGetsSoManyCallsAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(world)
		w.receiver.Store(NewReceiver(nil, always))
		o := &slowOldServer{open: make(chan struct{})}
		w.serve(t, o)
		var answers []<-chan Answer
		for range 3 * maxAlone {
			_, answer := w.push("world", "x")
			answers = append(answers, answer)
		}
		synctest.Wait()
		if n := o.calls.Load(); n != maxAlone {
			t.Errorf("%d calls", n)
		}
		close(o.open)
		for _, answer := range answers {
			wantAnswer(t, <-answer, yes, "")
		}
		if n := o.most.Load(); n > maxAlone {
			t.Errorf("%d calls at a time", n)
		}
	})
}

func TestLinks_ANudgeEndsThePauseAfterBrokenStreams(t *testing.T) {
	for _, nudged := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(in arrived) { in.Answer(delivered()) }, always)
			w.breaks.Store(true)
			_, answer := w.push("world", "1")
			<-time.After(3 * time.Second) // it breaks and breaks, ever more seldom
			w.breaks.Store(false)
			began := time.Now()
			if nudged {
				w.links.Nudge("addr") // gossip has seen the server
				w.links.Nudge("another")
			}
			<-answer
			if took := time.Since(began); (took < 100*time.Millisecond) != nudged {
				t.Errorf("nudged %v: took %v", nudged, took)
			}
		})
	}
}
