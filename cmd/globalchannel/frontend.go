package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pofresh/globalchannel/node"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

const (
	firstPause = 100 * time.Millisecond
	longPause  = 3 * time.Second
	// stubborn is how long a refusal is not final once we were attached: the agent
	// may not have noticed yet that our own last stream is dead.
	stubborn = 20 * time.Second
)

// frontend keeps one sid attached to an agent.
type frontend struct {
	connection
	sid, stype, zone string
	incarnation      string // of this process: with it, attaching again is not a new server
	secret           []byte
	offline          map[string]bool
	stderr           io.Writer
}

// run attaches, and attaches again, until ctx ends (nil), the first attempt
// fails, or the cluster refuses for good.
func (f *frontend) run(ctx context.Context, stdout io.Writer) error {
	// What cannot be printed was not delivered: stop rather than swallow pushes.
	asked := ctx
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	p := newPrinter(stdout, f.offline, stop)
	defer p.close()

	r, said := retry{pause: firstPause}, ""
	for {
		began := time.Now()
		attached, err := f.attach(ctx, p)
		if asked.Err() != nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !r.again(attached, time.Since(began), err) {
			return err
		}
		// An agent may be away for hours; once per reason is enough.
		if text := err.Error(); attached || text != said {
			fmt.Fprintf(f.stderr, "globalchannel: %s is detached, attaching again: %s\n", cell(f.sid), text)
			said = text
		}
		select {
		case <-time.After(r.next()):
		case <-ctx.Done():
		}
	}
}

// attach is one stream from dialling to its end.
func (f *frontend) attach(ctx context.Context, p *printer) (attached bool, err error) {
	err = f.withClient(ctx, f.secret, func(client pb.GlobalChannelClient) error {
		s := &session{frontend: f, printer: p}
		err := s.run(ctx, client)
		attached = s.attached
		if err == nil || ctx.Err() != nil {
			return err
		}
		if attached { // why a stream broke needs no investigation: the next attempt tells
			return node.FromStatus(err)
		}
		return f.explain(ctx, client, err)
	})
	return attached, err
}

// retry decides whether and when to attach again.
type retry struct {
	pause time.Duration
	lost  time.Time // when the last good stream ended; zero before the first
}

func (r *retry) again(attached bool, lasted time.Duration, err error) bool {
	if attached {
		r.lost = time.Now()
		if lasted > longPause { // a stream that breaks at once is no reason to hurry
			r.pause = firstPause
		}
		return true
	}
	switch {
	case r.lost.IsZero():
		return false // somebody is watching the first attempt
	case errors.Is(err, node.ErrRefused):
		return time.Since(r.lost) < stubborn
	case errors.Is(err, node.ErrInvalidArgument), errors.Is(err, node.ErrUnsupported):
		return false
	}
	code := status.Code(err)
	return code != codes.Unauthenticated && code != codes.PermissionDenied && code != codes.Unimplemented
}

// next is the pause before the next attempt, with jitter: many frontends lose
// their agent at the same moment.
func (r *retry) next() time.Duration {
	d := r.pause/2 + rand.N(r.pause/2)
	r.pause = min(2*r.pause, longPause)
	return d
}
