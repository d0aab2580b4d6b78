// Package transport carries bytes between servers: one port number for
// everything, protected by one secret. It is not API; import node instead.
//
// A Port is one TCP listener and one UDP socket. Three protocols share them:
// Raft streams, gossip (streams and packets) and gRPC. Nothing above the
// package opens a socket of its own, and all sockets come from one injected
// Network, so that whole nodes also run over an in-memory one.
//
// # One connection, from dial to call
//
// A server wants to call another one. Conn (pool.go) hands out the one gRPC
// connection for that address; its dialer (dial.go) opens a socket, shows this
// node's certificate with the protocol "h2" as ALPN, and checks the other
// end's (security.go, authority.go). At the other end the accept loop (mux.go)
// asks the connection set (conns.go) for room, and a goroutine greets the
// newcomer: TLS handshake, or the first byte where there is no TLS, both under
// one deadline. Then the stream goes into the queue (queue.go) of its protocol:
// gRPC accepts from one, Raft and gossip from the two others. gRPC never sees
// a handshake: its credentials (creds.go) only pass on who was proven to be
// there, and the interceptors (calls.go) compare that with the method.
//
// A Raft stream (raft.go) is opened with a preface (preface.go): who dials, and
// which node is meant. The other end answers before the first request, so that
// an address that meanwhile belongs to another process makes the dial fail
// instead of handing one node's log to another.
//
// Raft's calls go out through a Courier (courier.go), which holds those to a
// follower that is away until it answers a fresh dial (away.go), and answers idle
// ones itself (receipt.go).
//
// # Who is trusted with what
//
// With a secret, whoever knows it is trusted: each process makes the same
// certificate authority from it and issues itself a certificate. The role in
// it ("node" or "client") protects against mistakes, not against holders of
// the secret. With a PKI of the user's own, certificates say nothing about
// nodes; the dialling server states its node id and Options.KnownNode is asked.
// Without either, what a peer states is believed; node refuses to do that off
// loopback unless told.
//
// # What it does not do
//
// No retries, no routing, no knowledge of who leads: that is node's. No
// membership: that is cluster's. No limit on what a trusted Raft peer sends:
// hashicorp/raft reads its frames without one.
package transport
