package memnet

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const echoMethod = "/memnet.Echo/Echo"

// echo is a service with one stream that sends everything back.
var echo = grpc.ServiceDesc{
	ServiceName: "memnet.Echo",
	HandlerType: (*any)(nil),
	Streams: []grpc.StreamDesc{{
		StreamName:    "Echo",
		ServerStreams: true,
		ClientStreams: true,
		Handler: func(_ any, s grpc.ServerStream) error {
			for {
				m := new(wrapperspb.BytesValue)
				if err := s.RecvMsg(m); err != nil {
					if err == io.EOF {
						return nil
					}
					return err
				}
				if err := s.SendMsg(m); err != nil {
					return err
				}
			}
		},
	}},
}

func serveEcho(t *testing.T, n *Net) *grpc.Server {
	t.Helper()
	l, err := n.Host(b).Listen("tcp", ":7400")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second}))
	s.RegisterService(&echo, nil)
	go s.Serve(l)
	return s
}

func echoClient(t *testing.T, n *Net) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+b+":7400",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return n.Host(a).DialContext(ctx, "tcp", address)
		}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: time.Second, MaxDelay: time.Second}, MinConnectTimeout: time.Second}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func openEcho(t *testing.T, conn *grpc.ClientConn) grpc.ClientStream {
	t.Helper()
	s, err := conn.NewStream(t.Context(), &echo.Streams[0], echoMethod, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// exchange sends one message of that many bytes and takes it back.
func exchange(s grpc.ClientStream, size int) (int, error) {
	if err := s.SendMsg(wrapperspb.Bytes(make([]byte, size))); err != nil {
		return 0, err
	}
	m := new(wrapperspb.BytesValue)
	err := s.RecvMsg(m)
	return len(m.GetValue()), err
}

// Large messages pass both HTTP/2's flow control and ours; a crash ends the stream at once, a cut by keepalive, and
// the client comes back by itself after either.
func TestNet_CarriesGRPC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		n.SetLatency(time.Millisecond)
		server := serveEcho(t, n)
		conn := echoClient(t, n)

		stream := openEcho(t, conn)
		const size = 3 << 20
		for range 3 {
			if got, err := exchange(stream, size); got != size || err != nil {
				t.Fatalf("echo: got %d bytes, %v, want %d", got, err, size)
			}
		}

		n.Host(b).Crash()
		start := time.Now()
		if _, err := exchange(stream, 1); err == nil {
			t.Fatal("echo of a crashed server: got nil")
		}
		if err := stream.RecvMsg(new(wrapperspb.BytesValue)); status.Code(err) != codes.Unavailable || time.Since(start) > time.Second {
			t.Fatalf("after the crash: got %v after %v, want Unavailable at once", err, time.Since(start))
		}
		server.Stop()

		server = serveEcho(t, n)
		stream = openEcho(t, conn)
		n.Cut(b, a)
		start = time.Now()
		if _, err := exchange(stream, 1); status.Code(err) != codes.Unavailable || time.Since(start) != 15*time.Second {
			t.Fatalf("after the cut: got %v after %v, want Unavailable by keepalive in 15s", err, time.Since(start))
		}
		n.HealAll()
		if got, err := exchange(openEcho(t, conn), 1); got != 1 || err != nil {
			t.Fatalf("after the heal: got %d bytes, %v", got, err)
		}
		conn.Close()
		server.Stop()
		closed(t, n)
	})
}
