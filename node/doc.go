// Package node is the public library: a game server embeds one Node, and has
// global channels without a database.
//
// # One write
//
//	Add -> validate -> epoch of the sid -> outbox -> leader -> log -> fsm on every node
//	 ^----------------- the leader's answer ------------'
//
// write.go takes every write, one operation (calls.go) or a group (apply.go), from
// its check (op.go) to its answer; target.go finds out which life of a sid is meant.
// A player's connection (session.go) has its own way in, which puts its last
// operation behind all others.
//
// outbox.go queues the operation, flight.go gives it a place in the next numbered
// batch and sends the batches to the leader that peers.go finds, over a link
// (link.go): within this very process, or one stream to a peer. There desk.go packs
// what waits of all servers into log entries, one at a time, and raft.go waits for
// the state machine's answer (package fsm). A batch whose fate is unknown is sent
// again, byte for byte, until it is answered; the state does a number once.
//
// # One push
//
//	PushMessage -> replica: which frontends -> link to each -> its replica: who -> handler -> report
//
// push.go takes a push from its check to its report. aim.go waits for this process's own
// writes on the channel (ownwrites.go) and asks the replica which
// frontends have receivers (rosters.go remembers lists that have not changed), and round.go
// sends each a small message that names the audience, the frontend's life and the index of
// the channel's last change; with a ChannelManager, and for a list of uids, the uids go
// along. Package delivery carries it there and the answer back, in order and at most once.
//
// At the frontend arrivals.go finds the life that is meant (this server, or one attached
// through attach.go) and repeats.go what was pushed under the same id. inbox.go queues
// the push behind those of its channel, and when it is its turn receivers.go looks up in the
// frontend's own replica who is meant, or asks the pusher if that is behind. handling.go
// calls the handler.
//
// # One life
//
// tenure.go joins the cluster (package cluster), registers this process (life.go and
// enrollment.go, and commit.go at the leader) and opens the node to callers; fenced.go
// registers again if the life is declared over while the process lives.
// succession.go tells what becomes of the batches of the life before, presence.go
// removes members whose players are offline. The leader's reaper is in package
// cluster. Close ends all of it, in the order that lifecycle.go writes down.
//
// # One read
//
// reads.go answers from this node's own replica, once that is as fresh as the
// options ask. readindex.go asks the leader how far the log is, once for all reads
// that wait for it; age.go knows how old the replica is, and refresh.go keeps it
// young while reads with MaxStaleness come. questions.go are those that list no members.
// audience.go says which players a Select means, and selection.go finds them, in many
// short looks.
//
// # A store of the user's own
//
// With a ChannelManager (manager.go) managed.go takes the six calls there, in calls that
// managercall.go bounds; managedpush.go asks it for a push, and purger.go, on the leader,
// tells it which lives are over.
//
// # A bad disk
//
// Package disk's Guard keeps an error, or a call that hangs, from Raft, and says that
// Raft's traffic must not be served any more; leadership.go then knows no leader by
// itself, and seek.go asks the others who leads. fitness.go says whether this node
// should lead, and gives leadership away if not.
//
// # One state
//
// inspection.go has all servers hash their state at one index, while this node leads,
// and judge.go says from the hashes which state is right. auditor.go keeps the hashes
// of this node and what a leader told it about them; fitness.go remembers if it is wrong.
// Then rebuild.go, when it is this node's turn (turns.go), takes the state of one that is right.
//
// # One operator
//
// census.go asks all servers at once how they are. operator.go finds the leader for a
// transfer of leadership, remove.go for a removal; what they refuse says why, and which
// words force it. recover.go works on the directory of a server that does not run.
// http.go answers probes, and metrics.go counts for Prometheus.
//
// api.go, apiwrite.go, apiquestions.go and apioperator.go are the public gRPC service over all of this; explanation.go
// has the words for Explain, and grpcerr.go keeps an error's identity on the wire.
package node
