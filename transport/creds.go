package transport

import (
	"context"
	"errors"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// handshaken are the gRPC credentials of both ends: the connection arrives with
// TLS, if any, already on it, and all they do is to pass on who is there.
type handshaken struct{ tls bool }

// authInfo is who is at the other end of the connection of a call.
type authInfo struct {
	credentials.CommonAuthInfo
	peer identity
}

func (authInfo) AuthType() string { return "globalchannel" }

func (h handshaken) info(peer identity) authInfo {
	level := credentials.NoSecurity
	if h.tls {
		level = credentials.PrivacyAndIntegrity
	}
	return authInfo{CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: level}, peer: peer}
}

// ClientHandshake implements credentials.TransportCredentials.
func (h handshaken) ClientHandshake(_ context.Context, _ string, c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	dialled, ok := c.(*conn)
	if !ok {
		return nil, nil, errors.New("not a connection of this dialer")
	}
	return c, h.info(dialled.peer), nil
}

// ServerHandshake implements credentials.TransportCredentials.
func (h handshaken) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	accepted, ok := c.(call)
	if !ok {
		return nil, nil, errors.New("not a connection of this port")
	}
	return c, h.info(accepted.peer), nil
}

// Info implements credentials.TransportCredentials.
func (h handshaken) Info() credentials.ProtocolInfo {
	if h.tls {
		return credentials.ProtocolInfo{SecurityProtocol: "tls"}
	}
	return credentials.ProtocolInfo{SecurityProtocol: "insecure"}
}

// Clone implements credentials.TransportCredentials.
func (h handshaken) Clone() credentials.TransportCredentials { return h }

// OverrideServerName implements credentials.TransportCredentials; gRPC does not
// call it.
func (handshaken) OverrideServerName(string) error { return nil }

// nodeHeader is where a server states its node id in calls, for connections
// whose certificates do not tell it.
const nodeHeader = "globalchannel-node"

// stated sends the header with every call.
type stated struct{ nodeID string }

func (s stated) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{nodeHeader: s.nodeID}, nil
}

func (stated) RequireTransportSecurity() bool { return false }

// PeerRole tells who makes an incoming call: its node id, and RoleNode or
// RoleClient. The certificate decides; where it says nothing, whoever states a
// node id is a node. On another server than a Port's everybody is a client.
func PeerRole(ctx context.Context) (nodeID, role string) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "", RoleClient
	}
	info, ok := p.AuthInfo.(authInfo)
	if !ok {
		return "", RoleClient
	}
	if info.peer.proven {
		return info.peer.nodeID, info.peer.role
	}
	if ids := metadata.ValueFromIncomingContext(ctx, nodeHeader); len(ids) == 1 && checkNodeID(ids[0]) == nil {
		return ids[0], RoleNode
	}
	return "", RoleClient
}
