package node

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/pofresh/globalchannel/fsm"
)

// Select yields the members, (uid, sid) pairs, of an audience, each once and unordered.
// Of Channel these are the pairs in the channels, each with the highest session that it
// holds in them; of UIDs the servers on which each of them is in any channel, with
// Session 0. And and Except go by uids and yield pairs of what they were called on:
// Channel("guild:7").And(UIDs("alice")) is where alice is in the guild, and
// UIDs("alice").And(Channel("guild:7")) everywhere she is, if she is in it.
//
// The replica is as fresh as the options ask before the first look at it. Who comes or
// goes while Select looks may be in the answer or not. And costs its smaller side, all
// else the side that it is called on; nothing is locked for long. Audiences with
// Everybody in them: ErrInvalidArgument. The iterator holds no lock.
func (n *Node) Select(ctx context.Context, a Audience, o ...ReadOption) (iter.Seq[Member], error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	l := &looks{ctx: ctx, node: n}
	if err := n.read(ctx, o, func(s fsm.Reads) { l.index = s.Index() }); err != nil {
		return nil, err
	}
	members, err := a.set.list(l)
	if err != nil {
		return nil, err
	}
	return slices.Values(members), nil
}

// players are a set of players, each with the pairs that stand for him.
type players interface {
	list(*looks) ([]Member, error)           // every pair once
	size(fsm.Reads) int                      // about how much list looks at
	has(s fsm.Reads, uid string) bool        // without a list
	of(s fsm.Reads, uid string) []fsm.Member // the pairs of one player, maybe repeated
}

// looks at the replica are many short ones: a long one would stop what waits for it.
type looks struct {
	ctx   context.Context
	node  *Node
	index uint64 // the replica has it
}

func (l *looks) look(f func(fsm.Reads)) error {
	if err := l.node.usable(l.ctx); err != nil {
		return err
	}
	done, err := l.node.reader.atOnce(l.index, f)
	if err == nil && !done {
		err = fmt.Errorf("%w: went back below %d", ErrReplicaBehind, l.index)
	}
	return err
}

// uidsAtOnce is how many players one look is about.
const uidsAtOnce = 256

// each runs f for every one of a list, in looks.
func each[T any](l *looks, list []T, f func(fsm.Reads, T)) error {
	for some := range slices.Chunk(list, uidsAtOnce) {
		err := l.look(func(s fsm.Reads) {
			for _, one := range some {
				f(s, one)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pairs collects members, each pair once.
type pairs struct {
	list []Member
	at   map[pair]int
}

type pair struct{ uid, sid string }

func (p *pairs) add(members []fsm.Member) {
	if p.at == nil {
		p.at = make(map[pair]int, len(members))
	}
	for _, m := range members {
		k := pair{m.UID, m.SID}
		at, there := p.at[k]
		if !there {
			p.at[k] = len(p.list)
			p.list = append(p.list, Member(m))
			continue
		}
		p.list[at].Session = max(p.list[at].Session, m.Session)
	}
}

// inChannels are those in any of these channels.
type inChannels []string

func (c inChannels) list(l *looks) ([]Member, error) {
	var all pairs
	for _, name := range c {
		var list fsm.MemberList
		if err := l.look(func(s fsm.Reads) { list = s.Members(name) }); err != nil {
			return nil, err
		}
		members := list.Members()
		if len(c) == 1 {
			return membersOf(members), nil
		}
		all.add(members)
	}
	return all.list, nil
}

func membersOf(list []fsm.Member) []Member {
	members := make([]Member, len(list))
	for i, m := range list {
		members[i] = Member(m)
	}
	return members
}

func (c inChannels) size(s fsm.Reads) (n int) {
	for _, name := range c {
		n += s.Count(name)
	}
	return n
}

func (c inChannels) has(s fsm.Reads, uid string) bool {
	return slices.ContainsFunc(c, func(name string) bool { return s.Contains(name, uid) })
}

func (c inChannels) of(s fsm.Reads, uid string) []fsm.Member {
	if len(c) == 1 {
		return s.MembersOf(c[0], uid)
	}
	var all []fsm.Member
	for _, name := range c {
		all = append(all, s.MembersOf(name, uid)...)
	}
	return all
}

// named are players by their uids.
type named map[string]struct{}

func (u named) list(l *looks) (members []Member, err error) {
	err = each(l, slices.Collect(maps.Keys(u)), func(s fsm.Reads, uid string) {
		for _, m := range u.of(s, uid) {
			members = append(members, Member(m))
		}
	})
	return members, err
}

func (u named) size(fsm.Reads) int { return len(u) }

func (u named) has(_ fsm.Reads, uid string) bool {
	_, there := u[uid]
	return there
}

func (u named) of(s fsm.Reads, uid string) (members []fsm.Member) {
	if !u.has(s, uid) {
		return nil
	}
	for _, sid := range s.SIDsOf(uid) {
		members = append(members, fsm.Member{UID: uid, SID: sid})
	}
	return members
}

// filtered are those of from who are, or are not, in by.
type filtered struct {
	from, by players
	keep     bool // those who are
}

func (f filtered) list(l *looks) ([]Member, error) {
	var from, by int
	if err := l.look(func(s fsm.Reads) { from, by = f.from.size(s), f.by.size(s) }); err != nil {
		return nil, err
	}
	if f.keep && by < from {
		return f.pick(l)
	}
	members, err := f.from.list(l)
	if err != nil {
		return nil, err
	}
	filter := f.by
	if by < len(members) { // then to list it is less than to ask for each
		if filter, err = uidsOf(l, f.by); err != nil {
			return nil, err
		}
	}
	var kept []Member
	err = each(l, members, func(s fsm.Reads, m Member) {
		if filter.has(s, m.UID) == f.keep {
			kept = append(kept, m)
		}
	})
	return kept, err
}

// pick looks for each of by in from.
func (f filtered) pick(l *looks) ([]Member, error) {
	uids, err := uidsOf(l, f.by)
	if err != nil {
		return nil, err
	}
	var all pairs
	err = each(l, slices.Collect(maps.Keys(uids)), func(s fsm.Reads, uid string) { all.add(f.from.of(s, uid)) })
	return all.list, err
}

// uidsOf are the players of a set.
func uidsOf(l *looks, set players) (named, error) {
	if uids, ok := set.(named); ok {
		return uids, nil
	}
	members, err := set.list(l)
	uids := make(named, len(members))
	for _, m := range members {
		uids[m.UID] = struct{}{}
	}
	return uids, err
}

func (f filtered) size(s fsm.Reads) int {
	if !f.keep {
		return f.from.size(s)
	}
	return min(f.from.size(s), f.by.size(s))
}

func (f filtered) has(s fsm.Reads, uid string) bool {
	return f.from.has(s, uid) && f.by.has(s, uid) == f.keep
}

func (f filtered) of(s fsm.Reads, uid string) []fsm.Member {
	if f.by.has(s, uid) != f.keep {
		return nil
	}
	return f.from.of(s, uid)
}

// everybody is part of no audience that is listed.
type everybody struct{}

func (everybody) list(*looks) ([]Member, error)     { return nil, nil }
func (everybody) size(fsm.Reads) int                { return 0 }
func (everybody) has(fsm.Reads, string) bool        { return true }
func (everybody) of(fsm.Reads, string) []fsm.Member { return nil }
