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
	Hunts: []Hunt{calm("processes", checker.Lost)},
}

var neverAsked = Bug{
	Name:  "nobody is asked who is online",
	Wrong: "a player whose goodbye the host has missed stays for ever",
	Edits: []Edit{{
		File: "node/presence.go",
		Old:  `		if there {`,
		New:  `		if there || seeded.Bug("nobody is asked who is online") {`,
	}},
	Hunts: []Hunt{calm("processes", checker.Resurrected)},
}

// calm is sim of sessions, with rests that are long enough for hosts to be asked.
func calm(nemeses string, kinds ...checker.Kind) Hunt {
	h := sim("sessions", nemeses, kinds...)
	h.Args = append(h.Args, "-calm=10", "-time=20m")
	return h
}
