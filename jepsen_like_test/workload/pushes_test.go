package workload_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/workload"
	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/transport"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// host is a server of the product in this process, which clients reach over loopback.
type host struct {
	*node.Node
	conn  *grpc.ClientConn
	wrong func(pb.GlobalChannelClient) pb.GlobalChannelClient // nil: nothing is
}

func newHost(t *testing.T, wrong func(pb.GlobalChannelClient) pb.GlobalChannelClient) *host {
	t.Helper()
	n, err := node.Start(t.Context(), node.Config{SID: "v1", SType: workload.SType})
	if err != nil {
		t.Fatal(err)
	}
	h := &host{Node: n, wrong: wrong}
	t.Cleanup(func() {
		if h.conn != nil {
			h.conn.Close()
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := n.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, h.conn, err = h.Dial(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *host) ID() string                    { return h.Self().SID }
func (h *host) Connect(context.Context) error { return nil }

func (h *host) Dial(ctx context.Context) (int, *grpc.ClientConn, error) {
	conn, err := transport.DialClient(ctx, h.Self().Addr, nil, nil)
	return 1, conn, err
}

func (h *host) Client() (pb.GlobalChannelClient, error) {
	c := pb.NewGlobalChannelClient(h.conn)
	if h.wrong != nil {
		return h.wrong(c), nil
	}
	return c, nil
}

// wrongStreams spoils what frontends receive.
type wrongStreams struct {
	pb.GlobalChannelClient
	spoil func(*pb.PushDelivery) (twice bool)
}

func (w wrongStreams) Attach(ctx context.Context, o ...grpc.CallOption) (grpc.BidiStreamingClient[pb.AttachRequest, pb.AttachResponse], error) {
	stream, err := w.GlobalChannelClient.Attach(ctx, o...)
	return &wrongStream{BidiStreamingClient: stream, spoil: w.spoil}, err
}

type wrongStream struct {
	grpc.BidiStreamingClient[pb.AttachRequest, pb.AttachResponse]
	spoil func(*pb.PushDelivery) bool
	again *pb.AttachResponse
}

func (w *wrongStream) Recv() (*pb.AttachResponse, error) {
	if r := w.again; r != nil {
		w.again = nil
		return r, nil
	}
	r, err := w.BidiStreamingClient.Recv()
	if d := r.GetPush(); d != nil && w.spoil(d) {
		w.again = r
	}
	return r, err
}

// runPushes pushes on one server of the product until its attached frontends have been
// handed enough, in two processes each.
func runPushes(t *testing.T, wrong func(pb.GlobalChannelClient) pb.GlobalChannelClient) (checker.PushReport, error) {
	t.Helper()
	h, server := history.NewRecorder(), newHost(t, wrong)
	p := &workload.Pushes{
		Pushers: []workload.Pusher{workload.Remote(server)}, Targets: []string{"f1", "f2"}, Plain: true, Seed: 1, Rest: 5 * time.Millisecond, History: h,
	}
	for _, sid := range p.Targets {
		p.Attached = append(p.Attached, &workload.Frontend{SID: sid, Agents: []workload.Server{server}, Stay: 200 * time.Millisecond})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	work, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() { p.Run(work) })
	err := harness.Await(ctx, "frontends to be handed enough", func(context.Context) error {
		handed, processes := 0, make(map[string]map[int]bool)
		for _, sid := range p.Targets {
			processes[sid] = make(map[int]bool)
		}
		for _, e := range h.Events() {
			if e.F == history.Handed {
				handed++
				processes[e.Via][e.Start] = true
			}
		}
		for _, sid := range p.Targets {
			if handed < 200 || len(processes[sid]) < 2 {
				return fmt.Errorf("%d times so far, in the processes %v", handed, processes)
			}
		}
		return nil
	})
	stop()
	group.Wait()
	if err != nil {
		t.Fatal(err)
	}
	reached := p.ReadAll(ctx)
	r, err := checker.CheckPushes(h.Events())
	if err != nil {
		t.Fatal(err)
	}
	return r, reached
}

func TestPushes_ToAttachedFrontends(t *testing.T) {
	t.Parallel()
	r, err := runPushes(t, nil)
	if err != nil || len(r.Violations) > 0 || r.Reached < 20 || r.Left < 20 || r.NotDelivered == 0 || r.Restarted < 2 {
		t.Errorf("%v %v", err, r)
	}
}

func TestPushes_WhatFrontendsReceiveIsJudged(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	spoil := func(d *pb.PushDelivery) (twice bool) {
		switch n.Add(1) % 5 {
		case 0:
			return true
		case 1:
			d.Msg = append(d.Msg, '!')
		case 2:
			d.Uids = append(d.Uids, "stranger")
		case 3:
			d.Uids = nil
		}
		return false
	}
	r, _ := runPushes(t, func(c pb.GlobalChannelClient) pb.GlobalChannelClient { return wrongStreams{c, spoil} })
	for _, want := range []checker.Kind{checker.Twice, checker.Altered, checker.Phantom, checker.Lost} {
		if !slices.ContainsFunc(r.Violations, func(v checker.Violation) bool { return v.Kind == want }) {
			t.Errorf("nobody sees what is %s: %v", want, r)
		}
	}
}
