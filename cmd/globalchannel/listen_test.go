package main

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/testing/protocmp"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// hello is the agent's part up to attached.
func hello(stream pb.GlobalChannel_AttachServer) (*pb.Hello, error) {
	r, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	h := r.GetHello()
	attached := &pb.Attached{Epoch: 9, Index: 9, Incarnation: h.GetIncarnation()}
	return h, stream.Send(&pb.AttachResponse{Message: &pb.AttachResponse_Attached{Attached: attached}})
}

func deliver(stream pb.GlobalChannel_AttachServer, d *pb.PushDelivery) error {
	return stream.Send(&pb.AttachResponse{Message: &pb.AttachResponse_Push{Push: d}})
}

// record answers hello, sends pushes, and keeps what comes back until the goodbye.
func record(got chan<- *pb.AttachRequest, pushes ...*pb.PushDelivery) func(pb.GlobalChannel_AttachServer) error {
	return func(stream pb.GlobalChannel_AttachServer) error {
		h, err := hello(stream)
		if err != nil {
			return err
		}
		got <- &pb.AttachRequest{Message: &pb.AttachRequest_Hello{Hello: h}}
		for _, d := range pushes {
			if err := deliver(stream, d); err != nil {
				return err
			}
		}
		for {
			r, err := stream.Recv()
			if err != nil {
				return err
			}
			got <- r
			if r.GetGoodbye() != nil {
				return nil
			}
		}
	}
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func listenArgs(addr string, more ...string) []string {
	return append([]string{"listen", "--id", "connector-2", "--type", "connector", "--addr", addr}, more...)
}

func TestListen_PrintsAnswersAndSaysGoodbye(t *testing.T) {
	got := make(chan *pb.AttachRequest, 16)
	addr := startFake(t, &fake{attach: record(got,
		&pb.PushDelivery{Id: 1, Route: "chat", Channel: "room", From: "a", Msg: []byte("<hi>"), Uids: []string{"alice", "bob"}},
		&pb.PushDelivery{Id: 2, Route: "chat", Channel: "room", Msg: []byte{0xff, 0}, Uids: []string{"alice"}},
		&pb.PushDelivery{Id: 3, Route: "chat", Channel: "hall", Msg: nil, Uids: []string{"a"}, More: true},
		&pb.PushDelivery{Id: 4, Route: "chat", Channel: "room", Msg: []byte("between"), Uids: []string{"x"}},
		&pb.PushDelivery{Id: 3, Uids: []string{"b"}, More: true},
		&pb.PushDelivery{Id: 3, Uids: []string{"bob"}},
	)})
	r := launch(t, listenArgs(addr, "--offline", "bob,carol", "--zone", "eu")...)
	h := receive(t, got).GetHello()
	if _, err := uuid.Parse(h.GetIncarnation()); err != nil {
		t.Errorf("incarnation %q: %v", h.GetIncarnation(), err)
	}
	if diff := cmp.Diff(&pb.Hello{Sid: "connector-2", Stype: "connector", Zone: "eu", Incarnation: h.GetIncarnation()}, h, protocmp.Transform()); diff != "" {
		t.Errorf("hello (-want +got):\n%s", diff)
	}
	var replies []*pb.PushReply
	for range 4 {
		replies = append(replies, receive(t, got).GetReply())
	}
	wantReplies := []*pb.PushReply{{Id: 1, Offline: []string{"bob"}}, {Id: 2}, {Id: 4}, {Id: 3, Offline: []string{"bob"}}}
	if diff := cmp.Diff(wantReplies, replies, protocmp.Transform()); diff != "" {
		t.Errorf("replies (-want +got):\n%s", diff)
	}
	want := `{"route":"chat","channel":"room","uids":["alice","bob"],"msg":"<hi>"}
{"route":"chat","channel":"room","uids":["alice"],"msg_base64":"/wA="}
{"route":"chat","channel":"room","uids":["x"],"msg":"between"}
{"route":"chat","channel":"hall","uids":["a","b","bob"],"msg":""}
`
	if diff := cmp.Diff(want, r.stdout.String()); diff != "" {
		t.Errorf("stdout (-want +got):\n%s", diff)
	}
	r.cancel()
	if last := receive(t, got); last.GetGoodbye() == nil {
		t.Errorf("the last word is %v, want a goodbye", last)
	}
	if code := r.wait(t); code != exitOK {
		t.Errorf("exit code %d, want 0; stderr:\n%s", code, r.stderr)
	}
	wantParts(t, r.stderr.String(), "connector-2 (connector) is attached to "+addr)
}

func TestListen_AttachesAgainAsTheSameIncarnation(t *testing.T) {
	addr := keptAddress(t)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan *pb.AttachRequest, 16)
	stop := serveFake(&fake{attach: record(first)}, l)
	r := launch(t, listenArgs(addr)...)
	before := receive(t, first).GetHello()
	r.stderr.await(t, "is attached", 1)
	stop() // as a kill: the stream breaks and the port refuses

	r.stderr.await(t, "connector-2 is detached", 2) // for the break, and the refusal after it
	if l, err = net.Listen("tcp", addr); err != nil {
		t.Fatal(err)
	}
	second := make(chan *pb.AttachRequest, 16)
	t.Cleanup(serveFake(&fake{attach: record(second, &pb.PushDelivery{Id: 1, Route: "r", Channel: "c", Uids: []string{"u"}})}, l))
	after := receive(t, second).GetHello()
	if before.GetIncarnation() != after.GetIncarnation() {
		t.Errorf("incarnation %s became %s: the cluster would take it for a restart", before.GetIncarnation(), after.GetIncarnation())
	}
	r.stdout.await(t, `"channel":"c"`, 1)
	if code := r.stop(t); code != exitOK {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestListen_FirstRefusalIsFinal(t *testing.T) {
	f := &fake{attach: func(pb.GlobalChannel_AttachServer) error {
		return serviceError(t, codes.FailedPrecondition, "REFUSED", "", "refused: sid is in use")
	}}
	r := invoke(t, listenArgs(startFake(t, f))...)
	wantCode(t, r, exitFailure)
	wantParts(t, r.stderr, "sid is in use")
}

// The agent refuses the sid until it has noticed that our last stream is dead.
func TestListen_RefusalAfterABreakIsTriedAgain(t *testing.T) {
	streams := make(chan int, 16)
	n := 0
	f := &fake{attach: func(stream pb.GlobalChannel_AttachServer) error {
		n++ // one stream after the other
		streams <- n
		switch n {
		case 1:
			_, err := hello(stream)
			return err
		case 2:
			return serviceError(t, codes.FailedPrecondition, "REFUSED", "", "refused: already attached here")
		}
		if _, err := hello(stream); err != nil {
			return err
		}
		_, err := stream.Recv()
		return err
	}}
	r := launch(t, listenArgs(startFake(t, f))...)
	r.stderr.await(t, "is attached", 2)
	wantParts(t, r.stderr.String(), "already attached here")
	if code := r.stop(t); code != exitOK {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestListen_SilentAgentIsNotWaitedFor(t *testing.T) {
	f := &fake{attach: func(stream pb.GlobalChannel_AttachServer) error {
		<-stream.Context().Done()
		return stream.Context().Err()
	}}
	r := invoke(t, listenArgs(startFake(t, f), "--timeout", "2s")...)
	wantCode(t, r, exitFailure)
	wantParts(t, r.stderr, "no answer within 2s")
}

// brokenPipe is a full disk: what is not printed was not delivered.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestListen_FailedOutputIsReportedAndEndsIt(t *testing.T) {
	got := make(chan *pb.AttachRequest, 16)
	addr := startFake(t, &fake{attach: record(got, &pb.PushDelivery{Id: 1, Route: "r", Channel: "c", Uids: []string{"u"}})})
	stderr := newScreen()
	code := run(t.Context(), listenArgs(addr), fakeEnv(nil), brokenPipe{}, stderr)
	if code != exitFailure {
		t.Errorf("exit code %d, want 1", code)
	}
	wantParts(t, stderr.String(), "print a push: no space left")
	receive(t, got) // hello
	if e := receive(t, got).GetReply().GetError(); !strings.Contains(e, "no space left") {
		t.Errorf("replied %q, want the error", e)
	}
	if receive(t, got).GetGoodbye() == nil {
		t.Error("no goodbye: its members would stay until the agent notices")
	}
}

// A terminal that was stopped with Ctrl-S must not keep SIGTERM from being obeyed.
func TestListen_StuckOutputDoesNotStopTheGoodbye(t *testing.T) {
	got := make(chan *pb.AttachRequest, 16)
	addr := startFake(t, &fake{attach: record(got, &pb.PushDelivery{Id: 1, Route: "r", Channel: "c", Uids: []string{"u"}})})
	read, write := io.Pipe() // nobody reads
	defer read.Close()
	r := &running{stdout: newScreen(), stderr: newScreen(), code: make(chan int, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() { r.code <- run(ctx, listenArgs(addr), fakeEnv(nil), write, r.stderr) }()
	receive(t, got)                                       // hello
	if _, err := read.Read(make([]byte, 1)); err != nil { // the rest of the line is stuck
		t.Fatal(err)
	}
	r.stderr.await(t, "is attached", 1)
	cancel()
	if receive(t, got).GetGoodbye() == nil {
		t.Error("no goodbye")
	}
	if code := r.wait(t); code != exitOK {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestReassembly_IsBounded(t *testing.T) {
	r := newReassembly()
	var err error
	for id := uint64(0); id <= maxOpen && err == nil; id++ {
		_, err = r.add(&pb.PushDelivery{Id: id, More: true})
	}
	if err == nil {
		t.Errorf("more than %d pushes may be open", maxOpen)
	}
	r, err = newReassembly(), nil
	big := []string{strings.Repeat("x", 1<<20)}
	for range maxBytes>>20 + 1 {
		if err == nil {
			_, err = r.add(&pb.PushDelivery{Id: 1, Uids: big, More: true})
		}
	}
	if err == nil {
		t.Errorf("more than %d bytes may be open", maxBytes)
	}
}

func TestReassembly_ForgetsWhatIsWhole(t *testing.T) {
	r := newReassembly()
	for range 3 {
		for _, d := range []*pb.PushDelivery{{Id: 1, Msg: []byte("m"), Uids: []string{"a"}, More: true}, {Id: 1, Uids: []string{"b"}}} {
			whole, err := r.add(d)
			if err != nil || (whole != nil) == d.More {
				t.Fatalf("add %v: %v, %v", d, whole, err)
			}
			if whole != nil && !cmp.Equal(whole.Uids, []string{"a", "b"}) {
				t.Errorf("uids %q, want a and b", whole.Uids)
			}
		}
	}
	if len(r.open) != 0 || r.bytes != 0 {
		t.Errorf("%d pushes with %d bytes are still kept", len(r.open), r.bytes)
	}
}
