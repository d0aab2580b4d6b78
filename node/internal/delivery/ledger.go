package delivery

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pofresh/globalchannel/transport/peerpb"
)

const (
	// So many answers are kept until the pusher has acknowledged them, with so many
	// bytes of uids. Of what is beyond, a pusher whose connection broke hears that it
	// is forgotten. The answers to pushes that wait for a slow handler come
	// late, so there may be many others between.
	maxKept      = 4096
	maxKeptBytes = 8 << 20

	maxReply      = 256 << 10 // bytes of answers in one message, about
	maxReplyParts = 1024
	maxOffline    = 256 << 10 // bytes of uids in one answer
	maxGiven      = 256 << 20 // bytes of uids that came with pushes and that a process holds; the newest give way
)

// ledger is what a process knows of a link to it: which numbers came, and which of
// their answers the pusher may not have.
type ledger struct {
	id               linkID
	sid, incarnation string // of the pusher
	wake             chan struct{}
	given            *atomic.Int64 // bytes of uids in all ledgers of the process

	mu       sync.Mutex // guards all below
	stream   uint32     // the one that there is, or was last; 0: none was
	attached bool
	left     time.Time // when the last one ended
	last     uint64    // the highest number that came
	open     map[uint64]*Incoming
	answers  []kept   // not acknowledged, in the order of sending
	bytes    int      // of uids in them
	told     int      // how many of them this stream has carried
	acked    uint64   // how many of this stream's were acknowledged, or dropped
	behind   []uint64 // of which to ask for uids
	over     bool     // this process is closing
}

func newLedger(id linkID, sid, incarnation string, given *atomic.Int64) *ledger {
	return &ledger{id: id, given: given, sid: sid, incarnation: incarnation, wake: make(chan struct{}, 1), open: make(map[uint64]*Incoming)}
}

// attach begins a stream, and with that ends the one before.
func (l *ledger) attach(hello *peerpb.PushLink) (*peerpb.PushWelcome, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if hello.GetStream() <= l.stream {
		return nil, status.Error(codes.Aborted, "a later stream of this link is here")
	}
	known := l.stream > 0
	if !known {
		// This welcome may be lost. The next one must not take for unseen what an
		// earlier ledger of the link, or an earlier process, may have handed over.
		for _, number := range hello.GetOpen() {
			l.last = max(l.last, number)
		}
	}
	welcome := &peerpb.PushWelcome{Known: known, Last: l.last}
	l.stream, l.attached = hello.GetStream(), true
	l.told, l.acked = 0, 0
	l.behind = nil
	for number, in := range l.open {
		if in.behind {
			l.given.Add(-int64(in.bytes))
			in.uids, in.bytes = nil, 0 // they are sent again, from the first
			l.behind = append(l.behind, number)
		}
	}
	l.disown(hello.GetOpen())
	l.signal()
	return welcome, nil
}

// disown answers what came here and was forgotten. It runs with mu held.
func (l *ledger) disown(numbers []uint64) {
	known := make(map[uint64]bool, len(l.answers))
	for _, a := range l.answers {
		known[a.number] = true
	}
	for _, number := range numbers {
		if number <= l.last && l.open[number] == nil && !known[number] {
			l.keepLocked(number, unknown("the connection broke, and the answer is forgotten"))
		}
	}
}

// detach says whether the stream that ended was the last one.
func (l *ledger) detach(number uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream != number {
		return false
	}
	l.attached, l.left = false, time.Now()
	return true
}

func (l *ledger) away() (away bool, since time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.attached, time.Since(l.left)
}

// stopAsking ends the pushes that wait for uids: their pusher is gone, and they hold up
// their channels.
func (l *ledger) stopAsking() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, in := range l.open {
		if in.behind {
			in.patience.end(context.Canceled)
		}
	}
}

// interrupt ends the contexts of all pushes, those to come too.
func (l *ledger) interrupt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	for _, in := range l.open {
		in.patience.end(context.Canceled)
	}
}

func (l *ledger) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// kept is an answer, or a part of one.
type kept struct {
	number uint64
	more   *peerpb.PushAnswer // nil: delivered, and nothing else to say
}

func (k kept) part() bool { return k.more.GetMore() }

// take does what a message says. false: its stream is over.
func (l *ledger) take(stream uint32, req *peerpb.PushRequest, r *Request, accept func(*Incoming, *Request)) bool {
	if !l.heed(stream, req) {
		return false
	}
	for _, b := range req.GetPushes() {
		if r.decode(b) != nil {
			return false
		}
		in, ok := l.enter(stream, r)
		if !ok {
			return false
		}
		if in != nil {
			accept(in, r)
		}
	}
	return true
}

// heed does all but what the pushes of a message say.
func (l *ledger) heed(stream uint32, req *peerpb.PushRequest) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream != stream {
		return false
	}
	l.acknowledgedLocked(req.GetReceived())
	for _, number := range req.GetAbandoned() {
		if in := l.open[number]; in != nil {
			in.patience.end(context.Canceled)
		}
	}
	for _, u := range req.GetUids() {
		l.giveLocked(u)
	}
	return true
}

// enter notes a number, so that it is not accepted twice; nil: it is here already.
func (l *ledger) enter(stream uint32, r *Request) (*Incoming, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream != stream {
		return nil, false
	}
	if r.number <= l.last {
		return nil, true
	}
	l.last = r.number
	in := &Incoming{From: l.sid, number: r.number, ledger: l}
	if r.Given {
		in.behind, in.given = true, make(chan []string, 1)
	}
	if r.timeout > 0 {
		in.patience.deadline = time.Now().Add(r.timeout)
	}
	if l.over {
		in.patience.err = context.Canceled
	}
	l.open[r.number] = in
	return in, true
}

func (l *ledger) acknowledgedLocked(received uint64) {
	if received <= l.acked {
		return
	}
	n := min(int(received-l.acked), l.told)
	l.acked = received
	l.dropLocked(n)
}

// dropLocked forgets the oldest answers.
func (l *ledger) dropLocked(n int) {
	for _, a := range l.answers[:n] {
		l.bytes -= offlineBytes(a.more)
	}
	l.answers = slices.Delete(l.answers, 0, n)
	l.told = max(0, l.told-n)
}

func offlineBytes(a *peerpb.PushAnswer) (n int) {
	for _, uid := range a.GetOffline() {
		n += len(uid) + 16
	}
	return n
}

func (l *ledger) giveLocked(u *peerpb.PushUids) {
	in := l.open[u.GetNumber()]
	if in == nil || !in.behind {
		return
	}
	bytes := 0
	for _, uid := range u.GetUids() {
		bytes += len(uid) + 16
	}
	if in.bytes += bytes; l.given.Add(int64(bytes)) > maxGiven {
		in.behind, in.uids = false, nil
		in.patience.end(context.Canceled)
		return
	}
	if in.uids = append(in.uids, u.GetUids()...); u.GetMore() {
		return
	}
	in.behind = false
	in.given <- in.uids // once: it is not waited for any more
	in.uids = nil
}

// ask wants the uids of a push.
func (l *ledger) ask(in *Incoming) <-chan []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if in.given == nil {
		in.behind, in.given = true, make(chan []string, 1)
		l.behind = append(l.behind, in.number)
		l.signal()
	}
	return in.given
}

// answer closes a number.
func (l *ledger) answer(in *Incoming, a Answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, in.number)
	l.given.Add(-int64(in.bytes))
	l.keepLocked(in.number, a)
	l.signal()
}

// keepLocked puts an answer behind the others, and forgets some if these are too many.
func (l *ledger) keepLocked(number uint64, a Answer) {
	if a.Outcome == peerpb.DeliverOutcome_DELIVER_DELIVERED && len(a.Offline) == 0 {
		l.answers = append(l.answers, kept{number: number})
	} else {
		for part, more := range Chunks(a.Offline, maxOffline) {
			p := &peerpb.PushAnswer{Number: number, Outcome: a.Outcome, Reason: a.Reason, Offline: part, More: more}
			l.answers = append(l.answers, kept{number, p})
			l.bytes += offlineBytes(p)
		}
	}
	for len(l.answers) > maxKept || l.bytes > maxKeptBytes {
		n := 1 // parts of the oldest
		for l.answers[n-1].part() {
			n++
		}
		if n == len(l.answers) || l.attached && l.told < n {
			return
		}
		if l.attached {
			l.acked += uint64(n)
		}
		l.dropLocked(n)
	}
}

// reply sends answers until the stream ends. After its context has, it sends what is
// ready.
func (l *ledger) reply(ctx context.Context, stream uint32, calls peerpb.Peer_PushesServer) error {
	for resp := new(peerpb.PushResponse); ; {
		some, ok := l.next(stream, resp)
		switch {
		case !ok:
			return status.Error(codes.Aborted, "a later stream of this link is here")
		case some:
			if err := calls.Send(resp); err != nil {
				l.spoil(stream, len(resp.GetAnswers())+len(resp.GetDelivered()), err)
				return err
			}
			continue
		case ctx.Err() != nil:
			return nil
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
		}
	}
}

// spoil is told that a message of so many answers was not sent. If they are to blame, no
// other stream must fail on them.
func (l *ledger) spoil(stream uint32, n int, err error) {
	if code := status.Code(err); code != codes.Internal && code != codes.ResourceExhausted {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream != stream || l.told < n {
		return
	}
	for i := l.told - n; i < l.told; i++ {
		a := &l.answers[i]
		l.bytes -= offlineBytes(a.more)
		a.more = &peerpb.PushAnswer{Number: a.number, Reason: "the answer cannot be sent"}
	}
}

// next makes a message of what the pusher has yet to hear. some: there is something.
func (l *ledger) next(stream uint32, resp *peerpb.PushResponse) (some, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream != stream {
		l.signal() // it was for the later one
		return false, false
	}
	if len(l.behind) == 0 && l.told == len(l.answers) {
		return false, true
	}
	resp.Behind, resp.Answers, resp.Delivered = l.behind, resp.GetAnswers()[:0], resp.GetDelivered()[:0]
	l.behind = nil
	for from, size := l.told, 0; l.told < len(l.answers) && l.told-from < maxReplyParts && (size == 0 || size < maxReply); l.told++ {
		a := l.answers[l.told]
		if size += 16; a.more == nil {
			resp.Delivered = append(resp.Delivered, a.number)
			continue
		}
		size += len(a.more.GetReason()) + offlineBytes(a.more)
		resp.Answers = append(resp.Answers, a.more)
	}
	return true, true
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) }
