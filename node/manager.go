package node

import "context"

// ChannelManager is a user's own store of channels, in place of the replicated one:
// Config.ChannelManager. Raft still runs, and carries who is up, and the settings. Every
// server has a value of its own, and all of them stand for one store. Authors run
// nodetest.TestChannelManager.
//
// Methods are called concurrently, but for Start and Stop, with no lock held. Arguments
// have been checked: names and uids are 1 to 255 bytes, sids 1 to 64, of UTF-8 without
// NUL, and any such text may come. A context is of that call alone and always ends, with
// the caller's deadline or Config.Timeout; a method that goes on for longer is left
// alone, and its answer dropped. A panic is an error.
//
// An error of Add, Leave, DestroyChannel or Clean is ErrOutcomeUnknown to the caller,
// who finds it inside, unless it matches ErrRejected, ErrNotSent or ErrOutcomeUnknown
// by itself. Nothing is tried again.
//
// What nobody keeps with a store of one's own: an Add is not refused because the life of
// its sid is over, or never was; its member stays until it leaves, or PurgeSID is called
// at the next end of such a life. A life that was declared over while its process lived
// comes back without members (Fenced.Missed is -1): the host adds its players again.
type ChannelManager interface {
	// Start comes once, and before all else; node.Start returns its error. Its context ends
	// as the one of node.Start, and does not bound what Start leaves running.
	Start(ctx context.Context) error
	// Stop comes once, if Start returned nil, and no call begins after it. Those before it
	// have returned, unless one has outlived its context by a second.
	Stop(ctx context.Context) error
	// Clean removes all channels of all servers.
	Clean(ctx context.Context) error

	// Add is idempotent. From its return on, MembersBySID shows the member at every server.
	Add(ctx context.Context, name, uid, sid string) error
	// Leave is idempotent: whoever is not in the channel is no error.
	Leave(ctx context.Context, name, uid, sid string) error
	// MembersBySID lists a channel's members on one server, each once, in any order. An
	// unknown channel or sid is empty, not an error. The slice is the caller's to change.
	// What Add would not have let in makes the whole answer an error.
	MembersBySID(ctx context.Context, name, sid string) ([]string, error)
	// DestroyChannel removes a channel on all servers, and is idempotent.
	DestroyChannel(ctx context.Context, name string) error
}

// SIDPurger is what a ChannelManager may have besides. Without it the members of a
// server that died stay in the store.
type SIDPurger interface {
	// PurgeSID removes the members of one server from all channels. The leader calls it,
	// once a life of that sid is over, until it returns nil; the next leader may call it
	// again. A server calls it for itself, for at most Config.Timeout, before it is Ready,
	// and for a frontend before that is attached: whoever restarts is often faster than his
	// end is noticed. A new life of the sid does not begin while the leader's call honours
	// its context, which ends for that; what goes on may hit members of the new life.
	PurgeSID(ctx context.Context, sid string) error
}
