package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

// errNotOurs is all that can be said when the other end takes the connection
// and closes it: a server with a secret does that to a client without one.
var errNotOurs = errors.New("something listens there but hangs up: not a globalchannel server, or one of the two has a secret and the other has not")

// DialClient connects to a server's public service in the role of a client,
// plain without a secret. network nil is the real one. It returns when the
// connection stands, or with an error that says why it does not after the first
// attempt or the end of ctx. Later the connection mends itself. The caller
// closes it.
func DialClient(ctx context.Context, addr string, secret []byte, network Network) (*grpc.ClientConn, error) {
	if err := checkSecret(secret); err != nil {
		return nil, err
	}
	if network == nil {
		network = realNetwork{}
	}
	security, err := newSecurity(nil, secret, identity{nodeID: "client", role: RoleClient})
	if err != nil {
		return nil, err
	}
	d := &dialer{network: network, security: security, conns: newConnSet(0, defaultHandshakeTimeout), timeout: defaultHandshakeTimeout}
	var failed atomic.Pointer[error] // of the last dial; gRPC tells it to calls only
	dial := func(ctx context.Context, addr string) (net.Conn, error) {
		c, err := d.dial(ctx, addr, protocolHTTP2, nil)
		if err != nil {
			failed.Store(&err)
			return nil, err
		}
		failed.Store(nil)
		return c, nil
	}
	conn, err := newClientConn(addr, append(dialOptions(d, reconnect(), ""), grpc.WithContextDialer(dial)))
	if err != nil {
		return nil, err
	}
	if err := connect(ctx, conn); err != nil {
		if why := failed.Load(); why != nil {
			err = *why
		}
		return nil, errors.Join(fmt.Errorf("connect to %s: %w", addr, err), conn.Close())
	}
	return conn, nil
}

// connect waits until the connection stands or its first attempt has failed.
func connect(ctx context.Context, conn *grpc.ClientConn) error {
	conn.Connect()
	for {
		state := conn.GetState()
		switch state {
		case connectivity.Ready:
			return nil
		case connectivity.TransientFailure:
			return errNotOurs
		}
		if !conn.WaitForStateChange(ctx, state) {
			return context.Cause(ctx)
		}
	}
}
