package delivery

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pofresh/globalchannel/transport/peerpb"
)

const (
	welcomeTimeout = 5 * time.Second // for the connection and the greeting
	partingTimeout = 5 * time.Second // for the other end to see the end of a stream
)

var errNoWelcome = errors.New("the greeting was not answered")

// stream is one stream of a link.
type stream struct {
	calls  peerpb.Peer_PushesClient
	cancel context.CancelFunc

	pushes  []*Push  // room for take
	answers []Answer // beside them
}

// connect opens the next stream of the link and reads its answers from then on.
func (l *link) connect() (*stream, error) {
	ctx, cancel := context.WithCancel(l.links.ctx)
	limit := time.AfterFunc(welcomeTimeout, cancel)
	calls, welcome, err := l.greet(ctx)
	if !limit.Stop() {
		err = errNoWelcome
	}
	if err != nil {
		cancel()
		return nil, err
	}
	s := &stream{calls: calls, cancel: cancel}
	l.adopt(s, welcome)
	l.links.group.Go(func() { l.read(s) })
	return s, nil
}

func (l *link) greet(ctx context.Context) (peerpb.Peer_PushesClient, *peerpb.PushWelcome, error) {
	client, err := l.links.dial(l.addr)
	if err != nil {
		return nil, nil, err
	}
	calls, err := client.Pushes(ctx, grpc.ForceCodecV2(codec{}))
	if err != nil {
		return nil, nil, err
	}
	if err := calls.Send(&peerpb.PushRequest{Link: l.introduce()}); err != nil {
		if _, reason := calls.Recv(); reason != nil {
			err = reason
		}
		return nil, nil, err
	}
	resp, err := calls.Recv()
	switch {
	case err != nil:
		return nil, nil, err
	case resp.GetWelcome() == nil:
		return nil, nil, errNoWelcome
	}
	return calls, resp.GetWelcome(), nil
}

func (l *link) introduce() *peerpb.PushLink {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams++
	hello := &peerpb.PushLink{Id: l.id, Stream: l.streams, Sid: l.links.sid, Incarnation: l.links.incarnation}
	for _, p := range l.sortedOpen() {
		hello.Open = append(hello.Open, p.number)
	}
	return hello
}

// adopt goes on with what the other end has not seen.
func (l *link) adopt(s *stream, w *peerpb.PushWelcome) {
	l.mu.Lock()
	l.stream, l.received, l.told, l.retries = s, 0, 0, 0
	var lost []*Push
	why := "the connection broke, and the other end knows nothing of what was sent"
	l.resend = nil
	for _, p := range l.sortedOpen() {
		switch unseen := p.number > w.GetLast(); {
		case w.GetKnown() && !unseen: // its answer comes
		case w.GetKnown() && l.barren <= maxBarren:
			l.resend = append(l.resend, p)
		default:
			if w.GetKnown() { // the first that was not seen: each goes in a message of its own
				why = "the connection breaks whenever this is sent"
				l.barren = 1
			}
			lost = append(lost, l.closeLocked(p.number))
		}
	}
	l.mu.Unlock()
	settleAll(lost, unknown(why))
}

// send may block until the stream ends, which it has after an error.
func (s *stream) send(m any) error { return s.calls.SendMsg(m) }

func (s *stream) close() {
	_ = s.calls.CloseSend() // if that fails, the stream is over
	time.AfterFunc(partingTimeout, s.cancel)
}

// read takes the answers until the stream ends.
func (l *link) read(s *stream) {
	defer s.cancel()
	for resp := new(peerpb.PushResponse); ; {
		if s.calls.RecvMsg(resp) != nil { // which resets it
			l.lost(s)
			return
		}
		l.take(s, resp)
	}
}

// take settles what was answered.
func (l *link) take(s *stream, resp *peerpb.PushResponse) {
	pushes, answers := s.pushes[:0], s.answers[:0]
	l.mu.Lock()
	if l.stream == s { // else another one counts by now
		l.received += uint64(len(resp.GetDelivered()) + len(resp.GetAnswers()))
	}
	for _, number := range resp.GetDelivered() {
		if p := l.closeLocked(number); p != nil {
			pushes, answers = append(pushes, p), append(answers, Answer{Outcome: peerpb.DeliverOutcome_DELIVER_DELIVERED})
		}
	}
	for _, a := range resp.GetAnswers() {
		p := l.open[a.GetNumber()]
		if p == nil {
			continue // abandoned, or answered twice
		}
		p.offline = append(p.offline, a.GetOffline()...)
		if a.GetMore() {
			continue
		}
		l.closeLocked(p.number)
		if len(p.offline) > len(a.GetOffline()) { // of several parts, some of which may have come twice
			slices.Sort(p.offline)
			p.offline = slices.Compact(p.offline)
		}
		pushes = append(pushes, p)
		answers = append(answers, Answer{Outcome: a.GetOutcome(), Reason: a.GetReason(), Offline: p.offline})
	}
	for _, number := range resp.GetBehind() {
		if p := l.open[number]; p != nil && l.stream == s {
			l.owed = append(l.owed, p)
		}
	}
	if len(pushes) > 0 {
		l.barren = 0
	}
	if len(l.owed) > 0 || l.received-l.told >= ackEvery {
		l.signal()
	}
	l.mu.Unlock()
	for i, p := range pushes {
		p.settle(answers[i])
	}
	clear(pushes)
	clear(answers)
	s.pushes, s.answers = pushes, answers
}

// closeLocked settles a push that was sent; nil: it is, or was abandoned.
func (l *link) closeLocked(number uint64) *Push {
	p := l.open[number]
	if p != nil {
		delete(l.open, number)
		p.stage = settled
	}
	return p
}

// Brief is a gRPC error in the words of a report.
func Brief(err error) string {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		err = status.FromContextError(err).Err()
	}
	switch s := status.Convert(err); s.Code() {
	case codes.DeadlineExceeded:
		return "timeout"
	case codes.Canceled:
		return "cancelled"
	default:
		return s.Message()
	}
}
