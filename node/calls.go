package node

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/pofresh/globalchannel/fsm"
)

// Add puts (uid, sid) into a channel. It is idempotent and returns once the
// operation is committed and applied by the leader; default reads here show it
// from then on. name and uid: 1 to 255 bytes, sid: 1 to 64, UTF-8 without NUL.
//
// The errors are of one of the three classes (ErrRejected, ErrNotSent,
// ErrOutcomeUnknown). ErrUnknownServer: sid never registered. ErrServerGone: the
// life of sid that this node knew is over, and the player with it.
func (n *Node) Add(ctx context.Context, name, uid, sid string) error {
	_, err := n.write(ctx, Op{Kind: OpAdd, Name: name, UID: uid, SID: sid})
	return err
}

// Leave takes (uid, sid) out of a channel. It is idempotent: whoever is not in it
// is no error. Limits and errors as for Add.
func (n *Node) Leave(ctx context.Context, name, uid, sid string) error {
	_, err := n.write(ctx, Op{Kind: OpLeave, Name: name, UID: uid, SID: sid})
	return err
}

// LeaveAll takes (uid, sid) out of every channel. It is idempotent. Limits and
// errors as for Add.
func (n *Node) LeaveAll(ctx context.Context, uid, sid string) error {
	_, err := n.write(ctx, Op{Kind: OpLeaveAll, UID: uid, SID: sid})
	return err
}

// Purge removes all members of a sid that never registered, or is forgotten: with
// Settings.ExternalSIDs nobody else can tell that such a server is gone. It is
// idempotent. A registered sid is ErrInvalidArgument.
func (n *Node) Purge(ctx context.Context, sid string) error {
	if level := n.replica.Level(); level < parkingLevel && n.life.isReady() {
		return fmt.Errorf("purge %q: %w until every server knows it: the cluster is at level %d", sid, ErrUnsupported, level)
	}
	_, err := n.write(ctx, Op{Kind: opPurge, SID: sid})
	return err
}

// DestroyChannel removes a channel on all servers at once, dead ones included.
func (n *Node) DestroyChannel(ctx context.Context, name string) error {
	_, err := n.write(ctx, Op{Kind: OpDestroy, Name: name})
	return err
}

// DestroyAllChannels removes every channel of the whole cluster.
func (n *Node) DestroyAllChannels(ctx context.Context) error {
	_, err := n.write(ctx, Op{Kind: opDestroyAll})
	return err
}

// MembersBySID lists a channel's members on one server, unordered. An unknown
// channel or sid is empty, not an error. The slice is the caller's.
func (n *Node) MembersBySID(ctx context.Context, name, sid string, o ...ReadOption) ([]string, error) {
	if err := firstError(checkName(name), checkSID(sid)); err != nil {
		return nil, err
	}
	if n.managed != nil {
		return n.managed.membersBySID(ctx, name, sid, o)
	}
	var list fsm.List
	err := n.read(ctx, o, func(s fsm.Reads) { list = s.MembersBySID(name, sid) })
	return list.UIDs(), err
}

// MembersByChannelName lists a channel's members on every server of a type, each
// uid once, unordered. It is empty where there is no such type.
func (n *Node) MembersByChannelName(ctx context.Context, stype, name string, o ...ReadOption) ([]string, error) {
	if err := firstError(checkSType(stype), checkName(name)); err != nil {
		return nil, err
	}
	if n.managed != nil {
		return n.managed.membersByType(ctx, stype, name, o)
	}
	var list fsm.List
	err := n.read(ctx, o, func(s fsm.Reads) { list = s.MembersByType(name, stype) })
	return list.UIDs(), err
}

// Members yields every (uid, sid) of a channel, on servers of all types,
// unordered. The iterator holds no lock.
func (n *Node) Members(ctx context.Context, name string, o ...ReadOption) (iter.Seq[Member], error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	var list fsm.MemberList
	err := n.read(ctx, o, func(s fsm.Reads) { list = s.Members(name) })
	if err != nil {
		return nil, err
	}
	members := list.Members()
	return func(yield func(Member) bool) {
		for _, m := range members {
			if !yield(Member(m)) {
				return
			}
		}
	}, nil
}

// PushMessage sends msg to every member of a channel on servers of one type, and
// returns when each of those servers has answered, or when the push's time is up:
// the earlier of ctx's deadline and Timeout. msg is at most 1 MiB by default
// (Settings.Limits) and may be empty; it must not be changed until the call returns.
//
// The result is filled in beside ErrPushFailed, which means that there were
// members and no server is Delivered. No members, or no such type: an empty
// result and no error.
func (n *Node) PushMessage(ctx context.Context, stype, route string, msg []byte, name string, o PushOptions) (PushResult, error) {
	if err := checkName(name); err != nil { // by its own name
		return PushResult{}, err
	}
	return n.Push(ctx, Push{SType: stype, Route: route, Msg: msg, To: Audience{inChannels{name}}, PushOptions: o})
}

// Push sends a message to an audience: see PushMessage. Frontends find out by themselves
// who of their players is meant, at the moment when it is the push's turn, and each
// player gets it once on every frontend where he is meant. Audiences that begin with
// UIDs, or name more than 256, are listed here and now instead.
//
// Pushes to one channel, filtered or not, are handed over in the order of that channel;
// all others of this process in an order of their own. Everybody reaches all sessions of
// the frontends of a type: nobody knows how many, so Members is 0.
func (n *Node) Push(ctx context.Context, p Push) (PushResult, error) {
	if err := n.checkPush(ctx, p); err != nil {
		return PushResult{}, err
	}
	if p.NoWait {
		return n.pushLater(ctx, p)
	}
	if p.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.Timeout)
		defer cancel()
	}
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	return n.pusher.push(ctx, p.job())
}

// pushLater is Push with NoWait: the push has its time, whatever becomes of the call's
// context.
func (n *Node) pushLater(ctx context.Context, p Push) (PushResult, error) {
	limit := n.cfg.Timeout
	if deadline, ok := ctx.Deadline(); ok {
		limit = time.Until(deadline)
	}
	if p.Timeout > 0 {
		limit = min(limit, p.Timeout)
	}
	own, cancel := context.WithTimeout(n.ctx, limit)
	r, rest, err := n.pusher.begin(own, ctx, p.job())
	if rest == nil {
		cancel()
		return r, err
	}
	n.pusher.leave(func() {
		defer cancel()
		rest.finish(own)
	})
	return r, err
}

func (p Push) job() pushJob {
	return pushJob{stype: p.SType, route: p.Route, msg: p.Msg, to: p.To.set, PushOptions: p.PushOptions}
}

func (n *Node) checkPush(ctx context.Context, p Push) error {
	if err := firstError(checkSType(p.SType), checkRoute(p.Route), checkPlayers(p.To.set, true)); err != nil {
		return err
	}
	if _, all := baseOf(p.To.set).(everybody); all && namedIn(p.To.set)+len(channelsOf(p.To.set)) > maxNamed {
		return invalid("To", "is Everybody, filtered by more than %d uids and channels, which every frontend would have to be told", maxNamed)
	}
	if limit := n.settings().Limits.MessageBytes; len(p.Msg) > limit {
		return invalid("msg", "has %d bytes; at most %d are allowed", len(p.Msg), limit)
	}
	if p.Timeout < 0 {
		return invalid("Timeout", "is negative")
	}
	if p.Priority > PrioritySystem {
		return invalid("Priority", "is %d, and none of the constants", p.Priority)
	}
	switch keep := p.OnFull == FullKeepLatest; {
	case p.OnFull > FullKeepLatest:
		return invalid("OnFull", "is %d, and none of the constants", p.OnFull)
	case keep != (p.Key != ""):
		return invalid("Key", "goes with OnFull: FullKeepLatest, and that with a Key")
	}
	for field, id := range map[string]string{"Key": p.Key, "ID": p.ID} {
		if id != "" {
			if err := checkText(field, id, maxName); err != nil {
				return err
			}
		}
	}
	if n.managed != nil && (!isChannel(p.To.set) || p.PruneOffline) {
		return unsupportedManaged("a push to another audience than one channel, or with PruneOffline,")
	}
	if own := n.laneOf(p.To.set); !p.NoWait && handling(ctx, own) {
		return fmt.Errorf("%w: %q", ErrReentrant, laneOf(p.To.set))
	}
	return n.usable(ctx)
}

// laneOf is the queue in which a push of this node waits at a frontend.
func (n *Node) laneOf(to players) string {
	_, all := baseOf(to).(everybody)
	return (&Delivery{Channel: laneOf(to), From: n.cfg.SID, Everybody: all}).lane()
}

// usable refuses calls that must not begin: the context is over, or the node is.
func (n *Node) usable(ctx context.Context) error {
	if ctx.Err() != nil {
		return notSent(ended(ctx))
	}
	if n.closing.Load() {
		return notSent(ErrClosed)
	}
	return nil
}

// read is of channels.
func (n *Node) read(ctx context.Context, o []ReadOption, f func(fsm.Reads)) error {
	if n.managed != nil {
		return unsupportedManaged("this question")
	}
	return n.readState(ctx, o, f)
}

// readWhole is read for what is no question of fsm.Reads.
func (n *Node) readWhole(ctx context.Context, o []ReadOption, f func(*fsm.State)) error {
	if err := n.read(ctx, o, func(fsm.Reads) {}); err != nil {
		return err
	}
	return n.reader.whole(f)
}

func (n *Node) readState(ctx context.Context, o []ReadOption, f func(fsm.Reads)) error {
	if err := n.usable(ctx); err != nil {
		return err
	}
	return n.reader.view(ctx, o, f)
}

// Servers lists everybody registered that this node's replica knows, attached
// frontends included, sorted by SID.
func (n *Node) Servers() []Server {
	var list []fsm.Server
	n.replica.Read(func(s fsm.Reads) { list = s.Servers() })
	out := make([]Server, 0, len(list))
	for _, s := range list {
		out = append(out, serverOf(s))
	}
	return slices.Clip(out)
}

func serverOf(s fsm.Server) Server {
	return Server{
		SID: s.SID, SType: s.SType, Zone: s.Zone, NodeID: s.NodeID, Incarnation: s.Incarnation,
		Epoch: s.Epoch, Addr: s.Addr, Via: s.Via,
	}
}
