package delivery

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	protobuf "google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/transport/peerpb"
)

func always(string, string) bool { return true }

func TestLink_AnswersWhatWasAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []Request
		w := newWorld(t, func(in arrived) {
			got = append(got, in.Request)
			if in.From != "pusher" {
				t.Errorf("from %q", in.From)
			}
			in.Answer(Answer{Outcome: peerpb.DeliverOutcome_DELIVER_NOT_DELIVERED, Reason: "why", Offline: []string{"bob"}})
		}, always)
		_, answer := w.push("world", "hi")
		want := Answer{Outcome: peerpb.DeliverOutcome_DELIVER_NOT_DELIVERED, Reason: "why", Offline: []string{"bob"}}
		if diff := cmp.Diff(want, <-answer); diff != "" {
			t.Error(diff)
		}
		push := Request{number: 1, timeout: pushTime, SID: "frontend", Epoch: 7, Index: 42, Content: Content{Channel: "world", Route: "route", Msg: []byte("hi")}}
		if diff := cmp.Diff([]Request{push}, got, cmp.AllowUnexported(Request{})); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFrame_IsWhatTheGeneratedCodeReads(t *testing.T) {
	deadline := time.Now().Add(time.Hour)
	large := strings.Repeat("x", bySelf)
	all := Content{
		Channel: "world", Route: "chat", Msg: []byte(large), Urgent: true, Audience: []byte("\x18\x01"),
		Full: peerpb.PushFull_PUSH_FULL_KEEP_LATEST, Key: "key", ID: "id",
	}
	pushes := []*Push{
		{number: 1, SID: "a", Epoch: 1 << 60, Body: NewBody(Content{Channel: "world", Route: "chat", Msg: []byte("hi")})},
		{number: 300, SID: "b", Epoch: 2, Body: NewBody(all)},
		{number: 301, SID: strings.Repeat("s", 64), Epoch: 2, Body: NewBody(Content{Channel: "other", Route: "chat"})},
	}
	pushes[0].Body.Index, pushes[1].Body.Index, pushes[1].Body.Given, pushes[2].Body.Deadline = 9, 1<<50, true, deadline
	f := newFrame(pushes, []uint64{5, 1 << 40}, 77, 10)
	var got peerpb.PushRequest
	if err := protobuf.Unmarshal(f.parts.Materialize(), &got); err != nil {
		t.Fatal(err)
	}
	want := &peerpb.PushRequest{Pushes: got.GetPushes(), Abandoned: []uint64{5, 1 << 40}, Received: 77}
	if diff := cmp.Diff(want, &got, protocmp.Transform()); diff != "" || len(got.GetPushes()) != 3 {
		t.Error(diff)
	}
	messages := []*peerpb.Push{
		{Number: 1, Sid: "a", Epoch: 1 << 60, Index: 9, Channel: "world", Route: "chat", Msg: []byte("hi")},
		{
			Number: 300, Sid: "b", Epoch: 2, Index: 1 << 50, Channel: "world", Route: "chat", Msg: []byte(large), Urgent: true, Given: true,
			Audience: &peerpb.PushAudience{Everybody: true}, Full: peerpb.PushFull_PUSH_FULL_KEEP_LATEST, Key: "key", Id: "id",
		},
		{Number: 301, Sid: strings.Repeat("s", 64), Epoch: 2, Channel: "other", Route: "chat"},
	}
	requests := []Request{
		{number: 1, SID: "a", Epoch: 1 << 60, Index: 9, Content: Content{Channel: "world", Route: "chat", Msg: []byte("hi")}},
		{number: 300, SID: "b", Epoch: 2, Index: 1 << 50, Given: true, Content: all},
		{number: 301, SID: strings.Repeat("s", 64), Epoch: 2, Content: Content{Channel: "other", Route: "chat"}},
	}
	var r Request // one for all, as in a stream
	for i, b := range got.GetPushes() {
		var m peerpb.Push
		if err := protobuf.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		if err := r.decode(b); err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			us := time.Duration(m.GetTimeoutUs()) * time.Microsecond
			if us > time.Hour || us < time.Hour-time.Minute || r.timeout != us {
				t.Errorf("%v are left, or %v", us, r.timeout)
			}
			messages[i].TimeoutUs, requests[i].timeout = m.GetTimeoutUs(), us
		}
		if diff := cmp.Diff(messages[i], &m, protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(requests[i], r, cmp.AllowUnexported(Request{})); diff != "" {
			t.Error(diff)
		}
	}
}

func FuzzRequest_Decode(f *testing.F) {
	for _, p := range []*peerpb.Push{
		{Number: 1, Sid: "a", Epoch: 7, Index: 9, TimeoutUs: 1, Channel: "world", Route: "chat", Msg: []byte("hi")},
		{Number: 1 << 63, Urgent: true, Given: true, Full: 3, Key: "k", Id: "i", Audience: &peerpb.PushAudience{Channels: []string{"x"}}},
		{},
	} {
		b, err := protobuf.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Request
		err := r.decode(b)
		var m peerpb.Push
		if err == nil && protobuf.Unmarshal(b, &m) == nil && (r.number != m.GetNumber() || r.SID != m.GetSid() || string(r.Msg) != string(m.GetMsg()) || r.Route != m.GetRoute() || r.Given != m.GetGiven()) {
			t.Errorf("%+v is read from %v", r, &m)
		}
	})
}

func TestBody_IsAMessageOfItsOwn(t *testing.T) {
	msg := []byte("hi")
	b := NewBody(Content{Channel: "c", Route: "r", Msg: msg, Urgent: true})
	msg[0] = 'H'
	if string(b.Msg) != "hi" {
		t.Errorf("%q", b.Msg)
	}
}

func TestLink_AsksForTheUIDsOfWhoIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		many := make([]string, 60_000) // more than one message
		for i := range many {
			many[i] = fmt.Sprintf("player-%06d", i)
		}
		var mu sync.Mutex
		got := make(map[string][]string)
		var wg sync.WaitGroup
		w := newWorld(t, func(in arrived) {
			wg.Go(func() {
				select {
				case uids := <-in.UIDs():
					mu.Lock()
					got[in.Channel] = uids
					mu.Unlock()
					in.Answer(delivered())
				case <-in.Context().Done():
				}
			})
		}, always)
		var answers []<-chan Answer
		for _, kind := range []string{"asked", "given"} {
			p := &Push{Body: NewBody(Content{Channel: kind, Route: "route"})}
			p.Body.Given = kind == "given"
			answers = append(answers, w.send(p, many...))
		}
		for _, answer := range answers {
			if a := <-answer; a.Outcome != peerpb.DeliverOutcome_DELIVER_DELIVERED {
				t.Errorf("%+v", a)
			}
		}
		wg.Wait()
		for _, kind := range []string{"asked", "given"} {
			if !slices.Equal(got[kind], many) {
				t.Errorf("%s: %d uids of %d", kind, len(got[kind]), len(many))
			}
		}
	})
}

// history is what came of many pushes over connections that broke.
type history struct {
	mu      sync.Mutex
	handled map[string][]string // messages, by channel
	answers map[string]Answer   // by message
}

// storm pushes from several callers, each one after the other, while the stream breaks.
func storm(t *testing.T, seed uint64, bugs bool) *history {
	h := &history{handled: make(map[string][]string), answers: make(map[string]Answer)}
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(seed, 1))
		var rmu sync.Mutex
		chance := func(p float64) bool {
			rmu.Lock()
			defer rmu.Unlock()
			return random.Float64() < p
		}
		lanes := make(map[string]chan arrived)
		var workers sync.WaitGroup
		defer workers.Wait()
		w := newWorld(t, func(in arrived) { // as an inbox: one at a time of each channel
			lane := lanes[in.Channel]
			if lane == nil {
				lane = make(chan arrived, 1000)
				lanes[in.Channel] = lane
				workers.Go(func() {
					for in := range lane {
						h.mu.Lock()
						h.handled[in.Channel] = append(h.handled[in.Channel], string(in.Msg))
						h.mu.Unlock()
						if chance(0.3) {
							<-time.After(time.Millisecond) // in the time of the bubble
						}
						if chance(0.2) {
							select {
							case <-in.UIDs():
							case <-in.Context().Done():
							}
						}
						in.Answer(delivered())
					}
				})
			}
			lane <- in
		}, always)
		w.bugs = bugs
		breaks := func(s *breakable) {
			if chance(0.05) {
				s.cut()
			}
		}
		w.onSend, w.onRecv = breaks, breaks
		var callers sync.WaitGroup
		for c := range 4 {
			callers.Go(func() {
				channel := fmt.Sprint("channel-", c%3) // two callers share one
				for i := range 100 {
					msg := fmt.Sprintf("%d/%04d", c, i)
					p, answer := w.push(channel, msg)
					a := p.wait(answer)
					h.mu.Lock()
					h.answers[msg] = a
					h.mu.Unlock()
				}
			})
		}
		callers.Wait()
		w.links.Close()
		w.receiver.Load().Close()
		w.server.Stop() // nothing comes any more
		for _, lane := range lanes {
			close(lane)
		}
	})
	return h
}

// broken says what is wrong with a history, "" if nothing is.
func (h *history) broken() string {
	times := make(map[string]int)
	for channel, list := range h.handled {
		newest := make(map[string]string) // by caller
		for _, msg := range list {
			if times[msg]++; times[msg] > 1 {
				return fmt.Sprintf("%s was handled twice", msg)
			}
			caller, _, _ := strings.Cut(msg, "/")
			if msg <= newest[caller] {
				return fmt.Sprintf("%s: %s after %s", channel, msg, newest[caller])
			}
			newest[caller] = msg
		}
	}
	for msg, a := range h.answers {
		switch {
		case a.Outcome == peerpb.DeliverOutcome_DELIVER_DELIVERED && times[msg] != 1:
			return fmt.Sprintf("%s is said to be delivered and was not handled", msg)
		case a.Outcome == peerpb.DeliverOutcome_DELIVER_NOT_DELIVERED && times[msg] != 0:
			return fmt.Sprintf("%s is said to be not delivered and was handled: %s", msg, a.Reason)
		}
	}
	return ""
}

func TestLink_DeliversOnceAndInOrderOverReconnects(t *testing.T) {
	missed := 0
	for seed := range uint64(10) {
		h := storm(t, seed, false)
		if why := h.broken(); why != "" {
			t.Fatalf("seed %d: %s", seed, why)
		}
		if len(h.answers) != 400 {
			t.Fatalf("seed %d: %d answers", seed, len(h.answers))
		}
		for _, a := range h.answers {
			switch {
			case a.Outcome == peerpb.DeliverOutcome_DELIVER_DELIVERED:
			case strings.Contains(a.Reason, "unreachable"): // two greetings broke, one after the other
				missed++
			default: // both processes live, so nothing is lost
				t.Errorf("seed %d: %+v", seed, a)
			}
		}
	}
	if missed > 40 {
		t.Errorf("%d pushes of 4000 were not delivered", missed)
	}
}

// The same with a link that does not keep its id over streams.
func TestLink_WithoutIDsPushesAreHandledTwice(t *testing.T) {
	for seed := range uint64(10) {
		if h := storm(t, seed, true); strings.Contains(h.broken(), "twice") {
			return
		}
	}
	t.Error("nothing was handled twice: the storm would not notice")
}
