package node

import (
	"context"

	"github.com/pofresh/globalchannel/fsm"
)

// MaxChannels is the most names that Channels gives at a time.
const MaxChannels = 10_000

// Count is how many (uid, sid) pairs a channel has: one uid on two servers counts twice.
// An unknown channel has none. It does not depend on their number, and allocates nothing.
func (n *Node) Count(ctx context.Context, name string, o ...ReadOption) (int, error) {
	if err := checkName(name); err != nil {
		return 0, err
	}
	var count int
	err := n.read(ctx, o, func(s fsm.Reads) { count = s.Count(name) })
	return count, err
}

// CountBySID is how many members a channel has on one server.
func (n *Node) CountBySID(ctx context.Context, name, sid string, o ...ReadOption) (int, error) {
	if err := firstError(checkName(name), checkSID(sid)); err != nil {
		return 0, err
	}
	var count int
	err := n.read(ctx, o, func(s fsm.Reads) { count = s.CountBySID(name, sid) })
	return count, err
}

// Contains says whether a player is in a channel, on whatever server. It allocates nothing.
func (n *Node) Contains(ctx context.Context, name, uid string, o ...ReadOption) (bool, error) {
	if err := firstError(checkName(name), checkUID(uid)); err != nil {
		return false, err
	}
	var in bool
	err := n.read(ctx, o, func(s fsm.Reads) { in = s.Contains(name, uid) })
	return in, err
}

// ChannelsOf lists the channels that a player is in, on whatever server, each once,
// unordered.
func (n *Node) ChannelsOf(ctx context.Context, uid string, o ...ReadOption) ([]string, error) {
	if err := checkUID(uid); err != nil {
		return nil, err
	}
	var names []string
	err := n.read(ctx, o, func(s fsm.Reads) { names = s.ChannelsOf(uid) })
	return names, err
}

// SIDsOf lists the servers on which a player is in any channel, each once, unordered.
func (n *Node) SIDsOf(ctx context.Context, uid string, o ...ReadOption) ([]string, error) {
	if err := checkUID(uid); err != nil {
		return nil, err
	}
	var sids []string
	err := n.read(ctx, o, func(s fsm.Reads) { sids = s.SIDsOf(uid) })
	return sids, err
}

// Channels lists the channels whose names begin with a prefix and come after another name,
// in the order of their bytes: up to limit of them, 1 to MaxChannels. Both texts may be
// empty. To go on, give the last name as after.
func (n *Node) Channels(ctx context.Context, prefix, after string, limit int, o ...ReadOption) ([]string, error) {
	if err := checkListing(prefix, after, limit); err != nil {
		return nil, err
	}
	var names []string
	err := n.readWhole(ctx, o, func(s *fsm.State) { names = s.Channels(prefix, after, limit) })
	return names, err
}

func checkListing(prefix, after string, limit int) error {
	if limit < 1 || limit > MaxChannels {
		return invalid("limit", "is %d; 1 to %d are allowed", limit, MaxChannels)
	}
	return firstError(checkPart("prefix", prefix), checkPart("after", after))
}

// checkPart is for what a name may begin with.
func checkPart(field, text string) error {
	if text == "" {
		return nil
	}
	return checkText(field, text, maxName)
}
