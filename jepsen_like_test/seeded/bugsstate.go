package seeded

import "github.com/pofresh/globalchannel/jepsen_like_test/checker"

// What is wrong in the state machine itself.

var noEpochCheck = Bug{
	Name:  "no epoch check",
	Wrong: "an Add or a Leave that means a life that is over takes effect in the one that is up",
	Edits: []Edit{{
		File: "fsm/apply_group.go",
		Old:  `if !srv.Up && o.kind == fsmpb.OpKind_OP_ADD || o.epoch < srv.firstEpoch || o.epoch > srv.Epoch {`,
		New: `if !srv.Up && o.kind == fsmpb.OpKind_OP_ADD ||
		(o.epoch < srv.firstEpoch || o.epoch > srv.Epoch) && !seeded.Bug("no epoch check") {`,
	}},
	Hunts: []Hunt{root("^TestSetFull_LeaderKilled$/^boltdb$", checker.Fence, checker.Lost, checker.Resurrected)},
}

var noDedupe = Bug{
	Name:  "no dedupe",
	Wrong: "a batch that is sent again, because its answer was lost, takes effect again",
	Edits: []Edit{
		{
			File: "fsm/apply_batch.go",
			Old:  `	case b.number <= last:`,
			New:  `	case b.number <= last && !(origin.Up && seeded.Bug("no dedupe")):`,
		},
		{ // the number of the last one is not what is forgotten
			File: "fsm/apply_batch.go",
			Old:  `	origin.keep(window, answered{index: index, results: results})`,
			New: `	if b.number > origin.lastNumber {
		origin.keep(window, answered{index: index, results: results})
	}`,
		},
	},
	Hunts: []Hunt{
		sim("register", "network", checker.NotLinearizable, checker.Once),
		root("^TestLinear_Paused$", checker.NotLinearizable, checker.Once),
	},
}

var mapOrder = Bug{
	Name:  "map order in apply",
	Wrong: "the batches of an entry are sorted by origin in a map, and each replica goes through it in another order",
	Edits: []Edit{{
		File: "fsm/apply_batch.go",
		Old: `	for i := range c.batches {
		results = append(results, r.batch(index, &c.batches[i]))
	}
	return results`,
		New: `	byOrigin := make(map[string][]int)
	for i := range c.batches {
		sid := string(c.batches[i].originSID)
		byOrigin[sid] = append(byOrigin[sid], i)
	}
	if len(byOrigin) > 1 && seeded.Bug("map order in apply") {
		results = results[:len(c.batches)]
		for _, list := range byOrigin {
			for _, i := range list {
				results[i] = r.batch(index, &c.batches[i])
			}
		}
		return results
	}
	for i := range c.batches {
		results = append(results, r.batch(index, &c.batches[i]))
	}
	return results`,
	}},
	Hunts: []Hunt{
		sim("register", "network", checker.NotLinearizable, checker.Once, checker.Diverged),
		root("^TestLinear_Paused$", checker.NotLinearizable, checker.Once, checker.Diverged),
	},
}

var endWithoutEpoch = Bug{
	Name:  "a life ended without comparing the epoch",
	Wrong: "the end of a life that comes late ends the life that has begun since",
	Edits: []Edit{{
		File: "fsm/apply_server.go",
		Old:  `	if !s.lives(down.GetSid(), down.GetEpoch()) {`,
		New: `	if srv := s.servers[down.GetSid()]; !s.lives(down.GetSid(), down.GetEpoch()) &&
		!(srv != nil && srv.Up && seeded.Bug("a life ended without comparing the epoch")) {`,
	}, { // nor that of its agent, which is the same guard for frontends
		File: "fsm/apply_server.go",
		Old:  `	if down.GetViaEpoch() != 0 && down.GetViaEpoch() != srv.ViaEpoch {`,
		New:  `	if down.GetViaEpoch() != 0 && down.GetViaEpoch() != srv.ViaEpoch && !seeded.Bug("a life ended without comparing the epoch") {`,
	}},
	Hunts: []Hunt{scene("LateGoodbye", checker.Lost)},
}
