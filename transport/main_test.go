package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/pofresh/globalchannel/transport/globalchannelv1"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// soon is for whatever should happen at once, on a machine with one busy core.
const soon = 20 * time.Second

func secretOf(s string) []byte { return bytes.Repeat([]byte(s), 16) }

// modes runs a test without and with a secret.
func modes(t *testing.T, f func(t *testing.T, secret []byte)) {
	t.Run("plain", func(t *testing.T) { f(t, nil) })
	t.Run("tls", func(t *testing.T) { f(t, secretOf("s")) })
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	t.Cleanup(cancel)
	return ctx
}

// open returns a port on loopback that closes with the test.
func open(t *testing.T, o Options) *Port {
	t.Helper()
	p, err := Open(o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return p
}

// serve opens a port that answers calls.
func serve(t *testing.T, o Options) (*Port, *services) {
	t.Helper()
	p, s := open(t, o), newServices()
	p.Serve(s.register)
	return p, s
}

// services answers Ping with the caller, Status with a fixed text, and keeps
// Deliver open until the test or the caller lets go.
type services struct {
	peerpb.UnimplementedPeerServer
	globalchannelv1.UnimplementedGlobalChannelServer
	delivering chan struct{} // one per Deliver that has begun
	ended      atomic.Int64  // Delivers
	release    chan struct{}
	lingers    time.Duration // how long a Deliver whose context has ended goes on
}

func newServices() *services {
	return &services{delivering: make(chan struct{}, 100), release: make(chan struct{}), lingers: 100 * time.Millisecond}
}

func (s *services) register(r grpc.ServiceRegistrar) {
	peerpb.RegisterPeerServer(r, s)
	globalchannelv1.RegisterGlobalChannelServer(r, s)
}

func (s *services) Ping(ctx context.Context, _ *peerpb.PingRequest) (*peerpb.PingResponse, error) {
	id, role := PeerRole(ctx)
	return &peerpb.PingResponse{NodeId: id, Sid: role}, nil
}

func (s *services) ReadIndex(context.Context, *peerpb.ReadIndexRequest) (*peerpb.ReadIndexResponse, error) {
	return &peerpb.ReadIndexResponse{Index: 7}, nil
}

func (s *services) Join(context.Context, *peerpb.JoinRequest) (*peerpb.JoinResponse, error) {
	panic("a bug in a handler")
}

func (s *services) Status(ctx context.Context, _ *globalchannelv1.StatusRequest) (*globalchannelv1.StatusResponse, error) {
	id, role := PeerRole(ctx)
	return &globalchannelv1.StatusResponse{NodeId: id, Role: role}, nil
}

func (s *services) Push(_ context.Context, r *globalchannelv1.PushRequest) (*globalchannelv1.PushResponse, error) {
	return &globalchannelv1.PushResponse{Members: int64(len(r.Msg))}, nil
}

func (s *services) Deliver(stream grpc.BidiStreamingServer[peerpb.DeliverRequest, peerpb.DeliverResponse]) error {
	defer s.ended.Add(1)
	s.delivering <- struct{}{}
	select {
	case <-s.release:
		return stream.Send(&peerpb.DeliverResponse{Reason: "released"})
	case <-stream.Context().Done():
		pause(context.Background(), s.lingers) // as real handlers do
		return context.Cause(stream.Context())
	}
}

func ping(t *testing.T, p *Port, addr string) (*peerpb.PingResponse, error) {
	t.Helper()
	conn, err := p.Conn(addr)
	if err != nil {
		t.Fatalf("Conn: %v", err)
	}
	return peerpb.NewPeerClient(conn).Ping(within(t), &peerpb.PingRequest{}, grpc.WaitForReady(true))
}

// rawDial is a client that knows nothing of the protocols.
func rawDial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, soon)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// hungUp waits until the other end has closed and returns how long that took.
func hungUp(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	begun := time.Now()
	if err := c.SetReadDeadline(begun.Add(soon)); err != nil {
		t.Fatal(err)
	}
	_, err := io.Copy(io.Discard, c)
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		t.Fatalf("still open after %v", soon)
	}
	return time.Since(begun)
}
