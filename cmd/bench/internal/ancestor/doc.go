// Package ancestor does in Go what the ancestor of this project does for a push: it
// asks Redis for the sets of members, one for each frontend, and sends each frontend,
// concurrently, a gRPC call that carries the uids and the message.
//
// Client is the pusher's side, Serve the frontends'.
package ancestor
