package seeded

import "github.com/pofresh/globalchannel/jepsen_like_test/checker"

// What is wrong with the sessions of players.

var goodbyeToAll = Bug{
	Name:  "the goodbye of an old connection ends a newer one",
	Wrong: "a player who connects anew before her old connection is closed leaves all rooms with that",
	Edits: []Edit{{
		File: "fsm/members.go",
		Old:  `		if session == 0 || sp.session <= session {`,
		New:  `		if session == 0 || sp.session <= session || seeded.Bug("the goodbye of an old connection ends a newer one") {`,
	}},
	Hunts: []Hunt{comeAndGo("processes", checker.Lost)},
}

var lateLeave = Bug{
	Name:  "an old connection leaves for a newer one",
	Wrong: "a player is out of a room because her old connection was late to leave it",
	Edits: []Edit{{
		File: "fsm/apply_group.go",
		Old:  `	if !was || o.session != 0 && o.session < held {`,
		New:  `	if !was || o.session != 0 && o.session < held && !seeded.Bug("an old connection leaves for a newer one") {`,
	}},
	Hunts: []Hunt{comeAndGo("processes", checker.Lost)},
}

var neverAsked = Bug{
	Name:  "nobody is asked who is online",
	Wrong: "a player whose goodbye the host has missed stays for ever",
	Edits: []Edit{{
		File: "node/presence.go",
		Old:  `		if there {`,
		New:  `		if there || seeded.Bug("nobody is asked who is online") {`,
	}},
	Hunts: []Hunt{comeAndGo("processes", checker.Resurrected)},
}

// comeAndGo is sim of sessions.
func comeAndGo(nemeses string, kinds ...checker.Kind) Hunt {
	h := sim("sessions", nemeses, kinds...)
	h.Args = append(h.Args, "-time=20m")
	return h
}

// leaving is sim of sessions over a slow network, where servers are cut off until their
// lives are over.
func leaving() Hunt {
	h := sim("sessions", "isolate-follower,isolate-replica,isolate-leader,halves", checker.Lost)
	h.Args = append(h.Args, "-latency=60ms", "-time=30m")
	return h
}
