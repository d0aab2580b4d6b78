package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/pofresh/globalchannel/transport/globalchannelv1"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

const short = 500 * time.Millisecond // as HandshakeTimeout

func client(t *testing.T, addr string, secret []byte) *grpc.ClientConn {
	t.Helper()
	conn, err := DialClient(within(t), addr, secret, nil)
	if err != nil {
		t.Fatalf("DialClient: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func statusOf(ctx context.Context, conn *grpc.ClientConn) (*globalchannelv1.StatusResponse, error) {
	return globalchannelv1.NewGlobalChannelClient(conn).Status(ctx, &globalchannelv1.StatusRequest{})
}

// shakes does a TLS handshake as a stranger would and reports whether the
// server let it in: in TLS 1.3 the client learns that with its first read.
func shakes(t *testing.T, addr string, config *tls.Config) error {
	t.Helper()
	config.InsecureSkipVerify = true
	c := tls.Client(rawDial(t, addr), config)
	if err := c.SetDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	if err := c.Handshake(); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 1))
	return err
}

func TestPort_NoCertificateIsRefused(t *testing.T) {
	p, _ := serve(t, Options{NodeID: "n1", Secret: secretOf("s")})
	for _, proto := range protocols() {
		if err := shakes(t, p.Addr(), &tls.Config{NextProtos: []string{proto.alpn()}}); err == nil || !strings.Contains(err.Error(), "certificate required") {
			t.Errorf("%s: %v, want certificate required", proto.alpn(), err)
		}
	}
}

func TestPort_CertificateOfAnotherSecretIsRefused(t *testing.T) {
	p, _ := serve(t, Options{NodeID: "n1", Secret: secretOf("s")})
	stranger, err := newTestAuthority(t, secretOf("o")).issue(identity{nodeID: "n2", role: RoleNode})
	if err != nil {
		t.Fatal(err)
	}
	for _, proto := range protocols() {
		config := &tls.Config{NextProtos: []string{proto.alpn()}, Certificates: []tls.Certificate{stranger}}
		if err := shakes(t, p.Addr(), config); err == nil || !strings.Contains(err.Error(), "bad certificate") {
			t.Errorf("%s: %v, want bad certificate", proto.alpn(), err)
		}
	}
	_, err = DialClient(within(t), p.Addr(), secretOf("o"), nil)
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok || !strings.Contains(err.Error(), "does not belong to this secret") {
		t.Errorf("DialClient: %v (%v), want an error about the secret", err, unknown)
	}
}

func TestPort_UnknownALPNIsRefused(t *testing.T) {
	p, _ := serve(t, Options{NodeID: "n1", Secret: secretOf("s")})
	cert, err := newTestAuthority(t, secretOf("s")).issue(identity{nodeID: "n2", role: RoleNode})
	if err != nil {
		t.Fatal(err)
	}
	for _, names := range [][]string{nil, {"http/1.1"}} {
		if err := shakes(t, p.Addr(), &tls.Config{NextProtos: names, Certificates: []tls.Certificate{cert}}); err == nil {
			t.Errorf("%v was let in", names)
		}
	}
}

func TestDialClient_SaysThatASecretIsMissing(t *testing.T) {
	secured, _ := serve(t, Options{NodeID: "n1", Secret: secretOf("s")})
	if _, err := DialClient(within(t), secured.Addr(), nil, nil); !errors.Is(err, errNotOurs) {
		t.Errorf("plain client, server with secret: %v, want %v", err, errNotOurs)
	}
	plain, _ := serve(t, Options{NodeID: "n2"})
	if _, err := DialClient(within(t), plain.Addr(), secretOf("s"), nil); err == nil || !strings.Contains(err.Error(), "tls handshake") {
		t.Errorf("client with secret, plain server: %v", err)
	}
	if err := plain.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := DialClient(within(t), plain.Addr(), nil, nil); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody there: %v, want connection refused", err)
	}
}

func TestPort_ClientRoleMayNotCallThePeerService(t *testing.T) {
	modes(t, func(t *testing.T, secret []byte) {
		p, _ := serve(t, Options{NodeID: "n1", Secret: secret})
		conn := client(t, p.Addr(), secret)
		got, err := statusOf(within(t), conn)
		if err != nil || got.Role != RoleClient {
			t.Errorf("Status = %v, %v, want role client", got, err)
		}
		if _, err := peerpb.NewPeerClient(conn).Ping(within(t), &peerpb.PingRequest{}); status.Code(err) != codes.PermissionDenied {
			t.Errorf("unary: %v, want PermissionDenied", err)
		}
		stream, err := peerpb.NewPeerClient(conn).Deliver(within(t))
		if err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != codes.PermissionDenied {
			t.Errorf("stream: %v, want PermissionDenied", err)
		}
	})
}

func TestPort_ClientRoleMaySpeakNeitherRaftNorGossip(t *testing.T) {
	p, _ := serve(t, Options{NodeID: "n1", Secret: secretOf("s"), HandshakeTimeout: time.Minute}) // so that no timeout does it
	cert, err := newTestAuthority(t, secretOf("s")).issue(identity{nodeID: "client", role: RoleClient})
	if err != nil {
		t.Fatal(err)
	}
	for _, proto := range []protocol{protocolRaft, protocolGossip} {
		config := &tls.Config{NextProtos: []string{proto.alpn()}, Certificates: []tls.Certificate{cert}}
		if err := shakes(t, p.Addr(), config); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v, want to be closed", proto.alpn(), err)
		}
	}
}

func TestPort_ClosesWhoeverStaysSilent(t *testing.T) {
	said := map[string]string{
		"nothing":                 "",
		"P":                       "P",
		"HTTP/2 without settings": http2.ClientPreface,
		"half a Raft preface":     "\x01GC",
		"half a TLS record":       "\x16\x03\x01\x02",
	}
	modes(t, func(t *testing.T, secret []byte) {
		p, _ := serve(t, Options{NodeID: "n1", Secret: secret, HandshakeTimeout: short})
		var all sync.WaitGroup
		defer all.Wait()
		for name, bytes := range said {
			c := rawDial(t, p.Addr())
			if _, err := c.Write([]byte(bytes)); err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				if took := hungUp(t, c); took > 5*time.Second {
					t.Errorf("%s: open for %v", name, took)
				}
			})
		}
	})
}

func TestPort_TricklingDoesNotPostponeTheEnd(t *testing.T) {
	p, _ := serve(t, Options{NodeID: "n1", HandshakeTimeout: short})
	c := rawDial(t, p.Addr())
	ticker := time.NewTicker(short / 10)
	defer ticker.Stop()
	begun := time.Now()
	for i := 0; time.Since(begun) < soon; i++ {
		<-ticker.C
		if _, err := c.Write([]byte{http2.ClientPreface[i%len(http2.ClientPreface)]}); err != nil {
			return
		}
		if i >= len(http2.ClientPreface) {
			t.Fatal("the whole preface was taken, one byte at a time, long after the timeout")
		}
	}
}

func TestPort_GarbageIsClosedAtOnce(t *testing.T) {
	for name, garbage := range map[string]string{
		"zero": "\x00", "text": "GET / HTTP/1.1\r\n\r\n", "TLS": "\x16\x03\x01",
		"Raft without magic": "\x01nope!", "Raft with an empty id": "\x01GCR\x01\x00\x00", "Raft with a lying length": "\x01GCR\x01\xff" + strings.Repeat("x", 255),
		"HTTP/2 garbage": "PUT / HTTP/1.1 and so on and on",
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := serve(t, Options{NodeID: "n1", HandshakeTimeout: time.Minute})
			c := rawDial(t, p.Addr())
			if _, err := c.Write([]byte(garbage)); err != nil {
				t.Fatal(err)
			}
			hungUp(t, c)
		})
	}
}

// greets opens a connection that finishes its HTTP/2 handshake and then only
// takes up a place.
func greets(t *testing.T, addr string) net.Conn {
	t.Helper()
	c := rawDial(t, addr)
	var b bytes.Buffer
	b.WriteString(http2.ClientPreface)
	if err := http2.NewFramer(&b, nil).WriteSettings(); err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write(b.Bytes()) // an error: was closed at once
	return c
}

// answersPings does no more than keep the connection, until that is closed.
func answersPings(framer *http2.Framer) {
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		if ping, ok := frame.(*http2.PingFrame); ok && !ping.IsAck() {
			_ = framer.WritePing(true, ping.Data) // an error: the next read has one too
		}
	}
}

func TestPort_ThousandsOfConnectionsHitTheCapAndGo(t *testing.T) {
	const limit, many = 200, 2500
	p, _ := serve(t, Options{NodeID: "n1", MaxConns: limit, HandshakeTimeout: 10 * time.Second})
	// Fill the port with connections that have finished their handshake. Those who
	// stayed silent from then on would be hung up on, and all this takes a while.
	held := map[net.Conn]bool{}
	var answering sync.WaitGroup
	t.Cleanup(answering.Wait) // after all are closed
	for len(held) < limit {
		c := greets(t, p.Addr())
		framer := http2.NewFramer(c, c)
		if _, err := framer.ReadFrame(); err == nil { // the server's settings
			held[c] = true
			answering.Go(func() { answersPings(framer) })
		}
	}
	refused := 0
	for range many {
		c := greets(t, p.Addr())
		if err := c.SetReadDeadline(time.Now().Add(soon)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err != nil {
			if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
				t.Fatal("neither served nor closed")
			}
			refused++
		}
		_ = c.Close()
	}
	if refused < many-limit/10 {
		t.Errorf("%d of %d refused with the port full", refused, many)
	}
	if n := countOpen(p); n > limit {
		t.Errorf("%d connections open, the limit is %d", n, limit)
	}
	if _, err := DialClient(within(t), p.Addr(), nil, nil); err == nil {
		t.Error("a client got in beyond the limit")
	}
	for c := range held {
		_ = c.Close()
	}
	eventually(t, func() error {
		conn, err := DialClient(within(t), p.Addr(), nil, nil)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		_, err = statusOf(within(t), conn)
		return err
	})
}

func countOpen(p *Port) int {
	p.mux.conns.mu.Lock()
	defer p.mux.conns.mu.Unlock()
	return len(p.mux.conns.open)
}

// eventually repeats f until it succeeds.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(soon); time.Now().Before(deadline); {
		if err = f(); err == nil {
			return
		}
		pause(t.Context(), 20*time.Millisecond)
	}
	t.Fatalf("still not after %v: %v", soon, err)
}

func TestPort_OversizedMessagesAreRefusedAtBothEnds(t *testing.T) {
	modes(t, func(t *testing.T, secret []byte) {
		p, _ := serve(t, Options{NodeID: "n1", Secret: secret})
		conn := client(t, p.Addr(), secret)
		api := globalchannelv1.NewGlobalChannelClient(conn)
		large := &globalchannelv1.PushRequest{Msg: make([]byte, maxMessage+1)}
		if _, err := api.Push(within(t), large); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "trying to send") {
			t.Errorf("own limit: %v, want ResourceExhausted before sending", err)
		}
		if _, err := api.Push(within(t), large, grpc.MaxCallSendMsgSize(2*maxMessage)); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "received message larger") {
			t.Errorf("server's limit: %v, want ResourceExhausted", err)
		}
		got, err := api.Push(within(t), &globalchannelv1.PushRequest{Msg: make([]byte, 1<<20)})
		if err != nil || got.Members != 1<<20 {
			t.Errorf("a megabyte: %v, %v", got, err)
		}
	})
}

func TestPort_OversizedFrameClosesTheConnection(t *testing.T) {
	p, _ := serve(t, Options{NodeID: "n1"})
	c := greets(t, p.Addr())
	// The header of a frame of 16 MiB, where 16 KiB were agreed on.
	if _, err := c.Write([]byte{0xff, 0xff, 0xff, byte(http2.FrameData), 0, 0, 0, 0, 1}); err != nil {
		t.Fatal(err)
	}
	hungUp(t, c)
}

func TestPort_HeadersBeyondTheLimitAreRefused(t *testing.T) {
	p, _ := serve(t, Options{NodeID: "n1"})
	conn := client(t, p.Addr(), nil)
	if _, err := statusOf(within(t), conn); err != nil { // with it the server's limit is known here
		t.Fatal(err)
	}
	ctx := metadata.AppendToOutgoingContext(within(t), "x", strings.Repeat("x", 2*maxHeaderList))
	if _, err := statusOf(ctx, conn); err == nil || !strings.Contains(err.Error(), "header list size") {
		t.Errorf("Status with headers of 128 KiB: %v, want a refusal", err)
	}
}

func TestPort_UnknownMethodIsUnimplemented(t *testing.T) {
	modes(t, func(t *testing.T, secret []byte) {
		p, _ := serve(t, Options{NodeID: "n1", Secret: secret})
		conn := client(t, p.Addr(), secret)
		for _, method := range []string{"/globalchannel.v1.GlobalChannel/Nope", "/nope.Nope/Nope", "/" + peerpb.Peer_ServiceDesc.ServiceName + "/Nope"} {
			err := conn.Invoke(within(t), method, &globalchannelv1.StatusRequest{}, &globalchannelv1.StatusResponse{})
			if status.Code(err) != codes.Unimplemented {
				t.Errorf("%s: %v, want Unimplemented", method, err)
			}
		}
	})
}

func TestPort_PanicOfAHandlerStaysInItsCall(t *testing.T) {
	p, _ := serve(t, Options{NodeID: "n1"})
	conn, err := p.Conn(p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := peerpb.NewPeerClient(conn).Join(within(t), &peerpb.JoinRequest{}); status.Code(err) != codes.Internal {
		t.Errorf("Join: %v, want Internal", err)
	}
	if _, err := ping(t, p, p.Addr()); err != nil {
		t.Errorf("the next call: %v", err)
	}
}
