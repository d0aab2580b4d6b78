package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// maxChunk is how many bytes of uids travel in one message of a push.
const maxChunk = 1 << 20

// pusher sends a message to the frontends that own a channel's members, each on
// its own, so that a slow or dead one delays nobody else.
type pusher struct {
	sid    string
	reader *reader
	local  *frontends
	peers  peers
}

// pushJob is one push.
type pushJob struct {
	stype, route, channel string
	msg                   []byte
}

func (p *pusher) push(ctx context.Context, job pushJob) (PushResult, error) {
	var result PushResult
	var targets []fsm.Target
	err := p.reader.view(ctx, nil, func(s *fsm.State) {
		result.Index = s.Index()
		targets = s.Targets(job.channel, job.stype)
	})
	if err != nil {
		return result, err
	}
	if slices.ContainsFunc(targets, p.here) {
		job.msg = bytes.Clone(job.msg) // a handler in this process may keep it, and the caller use it again
	}
	result.Servers = make([]ServerReport, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		result.Members += len(t.UIDs)
		wg.Go(func() {
			start := time.Now()
			d := p.deliver(ctx, job, t)
			result.Servers[i] = ServerReport{
				SID: t.Server.SID, Outcome: d.outcome, Reason: d.reason,
				Members: len(t.UIDs), Failed: d.offline, Latency: time.Since(start),
			}
		})
	}
	wg.Wait()
	return result, conclude(&result, targets)
}

// conclude adds up the reports. Its error is ErrPushFailed if nobody was reached.
func conclude(r *PushResult, targets []fsm.Target) error {
	reached := len(targets) == 0
	for i, s := range r.Servers {
		if s.Outcome == Delivered {
			reached = true
			r.Failed = append(r.Failed, s.Failed...)
			continue
		}
		r.missed = append(r.missed, targets[i].UIDs)
	}
	slices.Sort(r.Failed)
	r.Failed = slices.Compact(r.Failed)
	if !reached {
		return fmt.Errorf("%w: %d members on %d servers", ErrPushFailed, r.Members, len(targets))
	}
	return nil
}

// here: this process answers for the server.
func (p *pusher) here(t fsm.Target) bool { return t.Server.SID == p.sid || t.Server.Via == p.sid }

func (p *pusher) deliver(ctx context.Context, job pushJob, t fsm.Target) delivered {
	if p.here(t) {
		d := &Delivery{Route: job.route, Channel: job.channel, From: p.sid, Msg: job.msg, uids: t.UIDs}
		return p.local.deliver(ctx, t.Server.SID, t.Server.Epoch, d)
	}
	client, err := p.peers.client(t.Server.Addr)
	if err != nil {
		return delivered{outcome: NotDelivered, reason: "unreachable: " + brief(err)}
	}
	// The stream must end with this call, whatever state it is in.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.Deliver(ctx)
	if err != nil {
		// No message has left this process yet.
		return delivered{outcome: NotDelivered, reason: "unreachable: " + brief(err)}
	}
	return converse(stream, &peerpb.DeliverHead{
		Sid: t.Server.SID, Epoch: t.Server.Epoch, Channel: job.channel, Route: job.route, Msg: job.msg, From: p.sid,
	}, t.UIDs)
}

// converse sends the push in chunks and reads the answer.
func converse(stream peerpb.Peer_DeliverClient, head *peerpb.DeliverHead, uids []string) delivered {
	first := true
	for chunk := range chunks(uids, maxChunk) {
		req := &peerpb.DeliverRequest{Uids: chunk}
		if first {
			req.Head, first = head, false
		}
		if err := stream.Send(req); err != nil {
			break // the reason comes with Recv
		}
	}
	_ = stream.CloseSend() // the reason comes with Recv
	var d delivered
	for {
		resp, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && d.outcome != 0:
			return d
		case err != nil:
			return delivered{outcome: Unknown, reason: brief(err)}
		}
		if d.outcome == 0 {
			d.outcome, d.reason = outcomeFromPeer(resp.GetOutcome()), resp.GetReason()
		}
		d.offline = append(d.offline, resp.GetOffline()...)
	}
}

// chunks cuts uids into runs of at most limit bytes; at least one, maybe empty.
func chunks(uids []string, limit int) func(yield func([]string) bool) {
	return func(yield func([]string) bool) {
		start, size := 0, 0
		for i, uid := range uids {
			if size+len(uid)+4 > limit && i > start {
				if !yield(uids[start:i]) {
					return
				}
				start, size = i, 0
			}
			size += len(uid) + 4
		}
		yield(uids[start:])
	}
}

func outcomeFromPeer(o peerpb.DeliverOutcome) Outcome {
	switch o {
	case peerpb.DeliverOutcome_DELIVER_DELIVERED:
		return Delivered
	case peerpb.DeliverOutcome_DELIVER_NOT_DELIVERED:
		return NotDelivered
	}
	return Unknown
}

func outcomeToPeer(o Outcome) peerpb.DeliverOutcome {
	switch o {
	case Delivered:
		return peerpb.DeliverOutcome_DELIVER_DELIVERED
	case NotDelivered:
		return peerpb.DeliverOutcome_DELIVER_NOT_DELIVERED
	}
	return peerpb.DeliverOutcome_DELIVER_UNKNOWN
}

// brief is a gRPC error in the words of a report.
func brief(err error) string {
	switch s := status.Convert(err); s.Code() {
	case codes.DeadlineExceeded:
		return "timeout"
	case codes.Canceled:
		return "cancelled"
	default:
		return sendable(s.Message())
	}
}
