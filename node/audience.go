package node

import "slices"

// Audience says which players are meant. It is a value that never changes: one that was
// made once may be used again and by many goroutines, and be part of larger ones.
//
// An audience is a set of players. And and Except compare uids, not connections: whoever
// is muted on one connection is muted on all of them. The zero Audience is refused
// (ErrInvalidArgument); one of no names is empty.
type Audience struct{ set players }

// Channel is everybody who is in any of the channels.
func Channel(names ...string) Audience { return Audience{inChannels(slices.Clone(names))} }

// UIDs are these players, as far as they are in any channel.
func UIDs(uids ...string) Audience {
	set := make(named, len(uids))
	for _, uid := range uids {
		set[uid] = struct{}{}
	}
	return Audience{set}
}

// Everybody is all sessions of all servers, in a channel or not. It cannot be listed:
// Select refuses an audience that it is part of (ErrInvalidArgument).
func Everybody() Audience { return Audience{everybody{}} }

// And is those of a who are in b too.
func (a Audience) And(b Audience) Audience { return Audience{filtered{a.set, b.set, true}} }

// Except is those of a who are not in b.
func (a Audience) Except(b Audience) Audience { return Audience{filtered{a.set, b.set, false}} }

// check refuses what cannot be listed.
func (a Audience) check() error { return checkPlayers(a.set, false) }

// checkPlayers refuses what makes no sense. all: everybody may be what is filtered.
func checkPlayers(set players, all bool) error {
	switch set := set.(type) {
	case nil:
		return invalid("audience", "is the zero value; begin with Channel or UIDs")
	case everybody:
		if all {
			return nil
		}
		return invalid("audience", "has Everybody in it, who cannot be listed")
	case inChannels:
		for _, name := range set {
			if err := checkName(name); err != nil {
				return err
			}
		}
	case named:
		for uid := range set {
			if err := checkUID(uid); err != nil {
				return err
			}
		}
	case filtered:
		return firstError(checkPlayers(set.from, all), checkPlayers(set.by, false))
	}
	return nil
}
