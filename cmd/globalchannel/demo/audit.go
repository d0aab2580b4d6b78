package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/transport"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// auditor asks every server over the public service, as any client would.
type auditor struct{ witnesses []*witness }

// witness is one server, and what it said.
type witness struct {
	sid     string
	conn    *grpc.ClientConn
	api     pb.GlobalChannelClient
	applied uint64
	hash    string
	members map[pair]struct{}
	err     error // why the newest question was not answered
}

func newAuditor(ctx context.Context, servers []*server, secret []byte) (_ *auditor, err error) {
	a := &auditor{}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	for _, s := range servers {
		conn, err := transport.DialClient(ctx, s.Listen, secret, nil)
		if err != nil {
			return nil, fmt.Errorf("dial %s at %s: %w", s.SID, s.Listen, err)
		}
		a.witnesses = append(a.witnesses, &witness{sid: s.SID, conn: conn, api: pb.NewGlobalChannelClient(conn)})
	}
	return a, nil
}

func (a *auditor) Close() error {
	var errs []error
	for _, w := range a.witnesses {
		errs = append(errs, w.conn.Close())
	}
	return errors.Join(errs...)
}

// each runs f for all witnesses at once.
func (a *auditor) each(f func(*witness)) {
	var group sync.WaitGroup
	for _, w := range a.witnesses {
		group.Go(func() { f(w) })
	}
	group.Wait()
}

// agree asks for index and hash until all report the same, or limit has passed.
func (a *auditor) agree(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		a.each(func(w *witness) { w.ask(ctx) })
		if a.agreed() {
			return nil
		}
		if !pause(ctx, 50*time.Millisecond) {
			return fmt.Errorf("after %v the servers do not agree: %s", limit, a.versions())
		}
	}
}

func (w *witness) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	st, err := w.api.Status(ctx, &pb.StatusRequest{Hash: true})
	if w.err = err; err == nil {
		w.applied, w.hash = st.GetApplied(), st.GetStateHash()
	}
}

func (a *auditor) agreed() bool {
	first := a.witnesses[0]
	for _, w := range a.witnesses {
		if w.err != nil || w.hash == "" || w.applied != first.applied || w.hash != first.hash {
			return false
		}
	}
	return true
}

func (a *auditor) versions() string {
	var parts []string
	for _, w := range a.witnesses {
		if w.err != nil {
			parts = append(parts, fmt.Sprintf("%s: %v", w.sid, node.FromStatus(w.err)))
			continue
		}
		parts = append(parts, fmt.Sprintf("%s: index %d, hash %q", w.sid, w.applied, clip(w.hash, 12)))
	}
	return strings.Join(parts, "; ")
}

// collect takes down each server's members of all channels, with no filter: so
// somebody under a sid that never was would be seen too.
func (a *auditor) collect(ctx context.Context, channels []string) error {
	a.each(func(w *witness) {
		w.members = make(map[pair]struct{})
		for _, name := range channels {
			if w.err = w.list(ctx, name); w.err != nil {
				w.err = fmt.Errorf("ask %s for the members of %s: %w", w.sid, name, node.FromStatus(w.err))
				return
			}
		}
	})
	var errs []error
	for _, w := range a.witnesses {
		errs = append(errs, w.err)
	}
	return errors.Join(errs...)
}

func (w *witness) list(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	stream, err := w.api.Members(ctx, &pb.MembersRequest{Name: name, MinIndex: w.applied})
	if err != nil {
		return err
	}
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, m := range chunk.GetMembers() {
			w.members[pair{name, m.GetUid(), m.GetSid()}] = struct{}{}
		}
	}
}
