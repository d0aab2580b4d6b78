package node

import (
	"context"
	"slices"
	"strings"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// maxNamed is how many uids and channels an audience may name and still be sent to every frontend as
// it is. Of a longer one each frontend gets its own players.
const maxNamed = 256

// aim is where a push goes, as the pusher's replica has it.
type aim struct {
	targets  []fsm.Target         // sorted by sid
	index    uint64               // of the replica
	changed  uint64               // what a frontend's replica must have to find out who is meant
	given    bool                 // it cannot: the uids have to come along
	audience *peerpb.PushAudience // nil: the members of the channel in whose order the push goes
	missed   map[string]string    // of those targets whose members are not known, by sid: why
}

// aims finds out where pushes go.
type aims struct {
	reader  *reader
	managed *managed                 // nil: the channels are in the replica
	lists   *rosters[cell, []string] // of single servers: when one changes, the others stay
	kept    rosters[audienceKey, []fsm.Target]
}

// audienceKey is a channel and the type of its frontends.
type audienceKey struct{ name, stype string }

func (a *aims) take(ctx context.Context, job pushJob) (aim, error) {
	switch name := job.lane(); {
	case a.managed != nil:
		return a.managed.aim(ctx, name, job.stype)
	case isChannel(job.to):
		return a.channel(ctx, job, name)
	}
	var at aim
	names, known := channelsOf(job.to), true
	view := func(f func(fsm.Reads)) error { return a.reader.viewOf(ctx, names, f) }
	if _, byName := baseOf(job.to).(named); byName { // they may be in any channel
		view = func(f func(fsm.Reads)) error { return a.reader.view(ctx, nil, f) }
	}
	err := view(func(s fsm.Reads) {
		at.index = s.Index()
		for _, name := range names {
			changed := s.Changed(name)
			at.changed, known = max(at.changed, changed), known && changed > 0
		}
	})
	if err != nil {
		return at, err
	}
	if !known { // of a channel that is no more nobody can say when that was
		at.changed = max(at.changed, a.reader.acked.Load())
	}
	l := &looks{ctx: ctx, node: a.reader.node, index: at.index}
	switch base := baseOf(job.to).(type) {
	case everybody:
		at.audience = audienceToWire(job.to)
		at.targets, err = a.servers(l, job.stype)
	case inChannels:
		if at.audience = audienceToWire(job.to); namedIn(job.to)+len(names) > maxNamed {
			at.audience, at.given = nil, true
		}
		at.targets, err = a.channels(l, job, base)
	default:
		at.given = true
		at.targets, err = a.players(l, job)
	}
	return at, err
}

// channel is the common case: one channel, that was perhaps pushed to a moment ago.
func (a *aims) channel(ctx context.Context, job pushJob, name string) (at aim, err error) {
	key, fresh := audienceKey{name, job.stype}, false
	var stamp fsm.Stamp
	err = a.reader.viewOf(ctx, job.to.(inChannels), func(s fsm.Reads) {
		at.index, at.changed, stamp = s.Index(), s.Changed(name), s.Stamp(name)
		if at.targets, fresh = a.kept.get(key, stamp); fresh {
			return
		}
		if job.CountsOnly {
			at.targets = s.TargetCounts(name, job.stype)
		} else {
			at.targets = s.Targets(name, job.stype, func(sid string, stamp fsm.Stamp) ([]string, bool) {
				return a.lists.get(cell{name, sid}, stamp)
			})
		}
	})
	if err == nil && !fresh && !job.CountsOnly {
		all := 0
		for i := range at.targets {
			t := &at.targets[i]
			t.Read()
			bytes := sizeOf(t.UIDs)
			a.lists.put(cell{name, t.Server.SID}, t.Stamp, t.UIDs, bytes)
			all += 256 + bytes // lists that lists has forgotten are held, too
		}
		a.kept.put(key, stamp, at.targets, all)
	}
	return at, err
}

// servers are all of a type.
func (a *aims) servers(l *looks, stype string) (targets []fsm.Target, err error) {
	err = l.look(func(s fsm.Reads) {
		for _, srv := range s.Servers() {
			if srv.SType == stype {
				targets = append(targets, fsm.Target{Server: srv})
			}
		}
	})
	return targets, err
}

// channels are those servers of a type that have receivers in the channels.
func (a *aims) channels(l *looks, job pushJob, names []string) (targets []fsm.Target, err error) {
	servers := make(map[string]fsm.Server)
	err = l.look(func(s fsm.Reads) {
		for _, name := range names {
			for _, t := range s.TargetCounts(name, job.stype) {
				servers[t.Server.SID] = t.Server
			}
		}
	})
	if err != nil {
		return nil, err
	}
	for sid, srv := range servers {
		uids, err := playersOn(l, job.to, sid)
		if err != nil {
			return nil, err
		}
		if len(uids) > 0 {
			targets = append(targets, fsm.Target{Server: srv, Members: len(uids), UIDs: uids})
		}
	}
	return sorted(targets), nil
}

// players are those servers of a type that have any of the players.
func (a *aims) players(l *looks, job pushJob) ([]fsm.Target, error) {
	members, err := job.to.list(l)
	if err != nil {
		return nil, err
	}
	on := make(map[string][]string)
	for _, m := range members {
		on[m.SID] = append(on[m.SID], m.UID)
	}
	servers, err := a.servers(l, job.stype)
	if err != nil {
		return nil, err
	}
	servers = slices.DeleteFunc(servers, func(t fsm.Target) bool { return len(on[t.Server.SID]) == 0 })
	for i := range servers {
		t := &servers[i]
		t.UIDs = on[t.Server.SID]
		t.Members = len(t.UIDs)
	}
	return sorted(servers), nil
}

func sorted(targets []fsm.Target) []fsm.Target {
	slices.SortFunc(targets, func(a, b fsm.Target) int { return strings.Compare(a.Server.SID, b.Server.SID) })
	return targets
}

// playersOn are those of an audience of channels who are on one server, each once.
func playersOn(l *looks, set players, sid string) (uids []string, err error) {
	names := baseOf(set).(inChannels)
	for _, name := range names {
		var list fsm.List
		if err := l.look(func(s fsm.Reads) { list = s.MembersBySID(name, sid) }); err != nil {
			return nil, err
		}
		uids = append(uids, list.UIDs()...)
	}
	if len(names) > 1 {
		slices.Sort(uids)
		uids = slices.Compact(uids)
	}
	if _, plain := set.(inChannels); plain {
		return uids, nil
	}
	kept := make([]string, 0, len(uids))
	err = each(l, uids, func(s fsm.Reads, uid string) {
		if chosen(s, set, uid) {
			kept = append(kept, uid)
		}
	})
	return kept, err
}

// chosen says whether all filters of an audience let somebody of its base through.
func chosen(s fsm.Reads, set players, uid string) bool {
	f, filters := set.(filtered)
	return !filters || f.by.has(s, uid) == f.keep && chosen(s, f.from, uid)
}

// baseOf is what an audience is filtered from.
func baseOf(set players) players {
	for {
		f, filters := set.(filtered)
		if !filters {
			return set
		}
		set = f.from
	}
}

// beyond is an audience unless it is just the members of one channel.
func beyond(set players) players {
	if isChannel(set) {
		return nil
	}
	return set
}

// isChannel says that an audience is one channel and nothing else.
func isChannel(set players) bool {
	names, plain := set.(inChannels)
	return plain && len(names) == 1
}

// laneOf is the channel in whose order a push to the audience goes; empty: it is not of one.
func laneOf(set players) string {
	if names, ok := baseOf(set).(inChannels); ok && len(names) == 1 {
		return names[0]
	}
	return ""
}

// channelsOf are all that an audience names.
func channelsOf(set players) []string {
	switch set := set.(type) {
	case inChannels:
		return set
	case filtered:
		return append(slices.Clone(channelsOf(set.from)), channelsOf(set.by)...)
	}
	return nil
}

// namedIn is how many uids an audience names.
func namedIn(set players) int {
	switch set := set.(type) {
	case named:
		return len(set)
	case filtered:
		return namedIn(set.from) + namedIn(set.by)
	}
	return 0
}

func audienceToWire(set players) *peerpb.PushAudience {
	switch set := set.(type) {
	case inChannels:
		return &peerpb.PushAudience{Channels: set}
	case named:
		a := new(peerpb.PushAudience)
		for uid := range set {
			a.Uids = append(a.Uids, uid)
		}
		return a
	case filtered:
		return &peerpb.PushAudience{Filter: &peerpb.PushFilter{From: audienceToWire(set.from), By: audienceToWire(set.by), Keep: set.keep}}
	}
	return &peerpb.PushAudience{Everybody: true}
}

func audienceFromWire(a *peerpb.PushAudience) players {
	switch {
	case a.GetEverybody():
		return everybody{}
	case a.GetFilter() != nil:
		return filtered{audienceFromWire(a.GetFilter().GetFrom()), audienceFromWire(a.GetFilter().GetBy()), a.GetFilter().GetKeep()}
	case len(a.GetUids()) > 0:
		return UIDs(a.GetUids()...).set
	}
	return inChannels(a.GetChannels())
}
