package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// farewell bounds the goodbye: the agent's answer to it is good to have, and its
// notice of a closed connection does the same, later.
const farewell = 2 * time.Second

// session is one Attach stream. Of its two goroutines, run sends and receive
// receives: a gRPC stream allows one of each.
type session struct {
	*frontend
	printer  *printer
	attached bool

	stream  grpc.BidiStreamingClient[pb.AttachRequest, pb.AttachResponse]
	replies chan *pb.PushReply // from the printer
}

// run lasts until the stream ends, or ctx: then it says goodbye.
func (s *session) run(ctx context.Context, client pb.GlobalChannelClient) error {
	// The stream outlives ctx, for the goodbye.
	streamCtx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	if err := s.open(ctx, streamCtx, cancel, client); err != nil {
		return err
	}
	s.replies = make(chan *pb.PushReply)
	ended := make(chan error, 1)
	go func() { ended <- s.receive(streamCtx) }()
	err, over := s.answer(ctx, ended)
	if !over {
		if err == nil {
			err = s.goodbye(ended, cancel)
		} else { // sending failed: the reason comes by the other way
			cancel(err)
			if cause := <-ended; cause != nil && !errors.Is(cause, context.Canceled) {
				err = cause
			}
		}
	}
	return err
}

// open says hello and waits for the answer, no longer than the timeout or ctx.
func (s *session) open(ctx, streamCtx context.Context, cancel context.CancelCauseFunc, client pb.GlobalChannelClient) error {
	late := time.AfterFunc(s.timeout, func() { cancel(context.DeadlineExceeded) })
	defer late.Stop()
	defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
	fail := func(err error) error {
		if cause := context.Cause(streamCtx); cause != nil {
			return fmt.Errorf("attach to %s: no answer within %v: %w", s.addr, s.timeout, cause)
		}
		return err
	}
	var err error
	if s.stream, err = client.Attach(streamCtx, bounded()...); err != nil {
		return fail(err)
	}
	hello := &pb.Hello{Sid: s.sid, Stype: s.stype, Zone: s.zone, Incarnation: s.incarnation}
	// An error of Send says only that there is one; Recv tells which.
	_ = s.stream.Send(&pb.AttachRequest{Message: &pb.AttachRequest_Hello{Hello: hello}})
	r, err := s.stream.Recv()
	if err != nil {
		return fail(err)
	}
	a := r.GetAttached()
	if a == nil {
		return fmt.Errorf("attach to %s: its first answer is %T", s.addr, r.GetMessage())
	}
	s.attached = true
	fmt.Fprintf(s.stderr, "globalchannel: %s (%s) is attached to %s, epoch %d\n", cell(s.sid), cell(s.stype), s.addr, a.Epoch)
	return nil
}

// answer sends replies until ctx ends (nil, false), sending fails, or the stream
// is over.
func (s *session) answer(ctx context.Context, ended <-chan error) (err error, over bool) {
	for {
		select {
		case <-ctx.Done():
			return nil, false
		case err := <-ended:
			return err, true
		case r := <-s.replies:
			if err := s.stream.Send(&pb.AttachRequest{Message: &pb.AttachRequest_Reply{Reply: r}}); err != nil {
				return err, false
			}
		}
	}
}

// goodbye ends the life now instead of when the agent finds the stream broken.
func (s *session) goodbye(ended <-chan error, cancel context.CancelCauseFunc) error {
	late := time.AfterFunc(farewell, func() { cancel(context.DeadlineExceeded) })
	defer late.Stop()
	select {
	case r := <-s.replies: // what was just printed was delivered
		_ = s.stream.Send(&pb.AttachRequest{Message: &pb.AttachRequest_Reply{Reply: r}})
	default:
	}
	_ = s.stream.Send(&pb.AttachRequest{Message: &pb.AttachRequest_Goodbye{Goodbye: &pb.Goodbye{}}})
	_ = s.stream.CloseSend()
	<-ended
	return nil
}

// receive hands complete pushes to the printer until the stream ends. A printer
// that is stuck (a slow reader of our stdout) stops it, then the stream's window,
// then the agent's queue; the pusher reads of it in its report.
func (s *session) receive(ctx context.Context) error {
	chunks := newReassembly()
	for {
		r, err := s.stream.Recv()
		if errors.Is(err, io.EOF) {
			return errors.New("the server closed the stream")
		}
		if err != nil {
			return err
		}
		d := r.GetPush()
		if d == nil {
			continue // from a newer server
		}
		whole, err := chunks.add(d)
		if err != nil {
			return err
		}
		if whole != nil && !s.printer.take(ctx, job{push: whole, ctx: ctx, replies: s.replies}) {
			return context.Cause(ctx)
		}
	}
}
