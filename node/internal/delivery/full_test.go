package delivery

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/pofresh/globalchannel/transport/peerpb"
)

// stalled is a world whose peer does not read, with n pushes that wait.
func stalled(t *testing.T, n int) (w *world, release func(), answers []<-chan Answer) {
	w = newWorld(t, func(in arrived) { in.Answer(delivered()) }, always)
	block := make(chan struct{})
	w.onSend = func(*breakable) { <-block }
	_, first := w.push("world", "first")
	answers = append(answers, first)
	synctest.Wait()
	for i := range n {
		_, answer := w.push("world", fmt.Sprint(i))
		answers = append(answers, answer)
	}
	return w, func() { close(block) }, answers
}

func (w *world) sendWith(c Content) (<-chan Answer, <-chan struct{}, *Push) {
	o := &owner{answer: make(chan Answer, 2)}
	p := &Push{SID: "frontend", Epoch: 7, Body: NewBody(c)}
	p.Body.Owner = o
	return o.answer, w.links.Send("addr", p), p
}

func TestLink_AFullQueueDoesWhatTheNewPushSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, release, answers := stalled(t, maxQueued)
		full := Content{Channel: "world", Route: "r"}
		_, wait, waiting := w.sendWith(full)
		if wait == nil {
			t.Fatal("there is room")
		}
		waiting.Abandon("timeout", false) // it is not in the queue: nothing happens
		full.Full = peerpb.PushFull_PUSH_FULL_DROP_NEWEST
		refused, _, _ := w.sendWith(full)
		wantAnswer(t, <-refused, no, QueueFull)
		full.Full = peerpb.PushFull_PUSH_FULL_DROP_OLDEST
		newest, _, _ := w.sendWith(full)
		wantAnswer(t, <-answers[1], no, Dropped)
		full.Urgent = true
		urgent, _, _ := w.sendWith(full) // drops nobody of another priority
		wantAnswer(t, <-urgent, no, QueueFull)
		select {
		case <-wait:
			t.Error("there is no room yet")
		default:
		}
		release()
		<-wait
		for _, answer := range append(answers[2:], answers[0], newest) {
			wantAnswer(t, <-answer, yes, "")
		}
		synctest.Wait() // the link looks at its queues once more
		l := w.links.byAddr["addr"]
		if q := l.queues[1]; q.live != 0 || q.bytes != 0 {
			t.Errorf("at rest %d pushes of %d bytes wait", q.live, q.bytes)
		}
	})
}

func TestLink_AFullQueueIsOneOfManyBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, release, answers := stalled(t, 0)
		large := Content{Channel: "world", Route: "r", Msg: make([]byte, maxQueuedBytes), Full: peerpb.PushFull_PUSH_FULL_DROP_NEWEST}
		alone, _, _ := w.sendWith(large) // fits into an empty queue
		refused, _, _ := w.sendWith(Content{Channel: "world", Route: "r", Full: peerpb.PushFull_PUSH_FULL_DROP_NEWEST})
		wantAnswer(t, <-refused, no, QueueFull)
		w.links.byAddr["addr"].mu.Lock()
		w.links.byAddr["addr"].queues[1].peek().Body.encoded = nil // gRPC would refuse it
		w.links.byAddr["addr"].mu.Unlock()
		release()
		wantAnswer(t, <-answers[0], yes, "")
		wantAnswer(t, <-alone, yes, "")
	})
}

func TestLink_KeepsTheLatestOfAKeyWhetherFullOrNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, release, _ := stalled(t, 0)
		score := Content{Channel: "world", Route: "r", Key: "score", Full: peerpb.PushFull_PUSH_FULL_KEEP_LATEST}
		other, elsewhere := score, score
		other.Key, elsewhere.Channel = "position", "guild"
		first, _, _ := w.sendWith(score)
		kept, _, _ := w.sendWith(other)
		alsoKept, _, _ := w.sendWith(elsewhere)
		second, _, _ := w.sendWith(score)
		wantAnswer(t, <-first, no, Replaced)
		release()
		for _, answer := range []<-chan Answer{kept, alsoKept, second} {
			wantAnswer(t, <-answer, yes, "")
		}
	})
}
