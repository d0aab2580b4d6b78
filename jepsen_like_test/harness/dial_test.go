package harness

import (
	"context"
	"errors"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

// A connection to one process is none to the next one, although that listens at the same
// address.
func TestServer_DialReachesOneProcessOnly(t *testing.T) {
	c, err := NewCluster(shell(), Options{Dir: t.TempDir(), Servers: []Spec{{SID: "a", SType: "s"}}})
	must(t, err)
	defer func() { must(t, c.Close()) }()
	s := c.Servers[0]
	s.starts.Store(7)
	stop := listens(t, s.Addr)
	number, conn, err := s.Dial(bounded(t))
	must(t, err)
	defer conn.Close()
	if state := conn.GetState(); number != 7 || state != connectivity.Ready {
		t.Fatalf("process %d is %v, want 7, ready", number, state)
	}
	stop() // as its death
	must(t, becomes(bounded(t), conn, connectivity.Idle))
	defer listens(t, s.Addr)()
	conn.Connect()
	must(t, becomes(bounded(t), conn, connectivity.TransientFailure))
}

func listens(t *testing.T, addr string) (stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	must(t, err)
	server := grpc.NewServer()
	go server.Serve(l)
	return server.Stop
}

func becomes(ctx context.Context, conn *grpc.ClientConn, want connectivity.State) error {
	for {
		switch state := conn.GetState(); {
		case state == want:
			return nil
		case state == connectivity.Ready && want == connectivity.TransientFailure:
			return errors.New("it is ready again")
		case !conn.WaitForStateChange(ctx, state):
			return errors.New("it stays " + state.String())
		}
	}
}
