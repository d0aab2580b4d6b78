package seeded

import "github.com/pofresh/globalchannel/jepsen_like_test/checker"

// What is wrong in snapshots. There are few in a short run, so both bugs need more.

var snapshotWithoutDedupe = Bug{
	Name:  "a snapshot that forgets the dedupe table",
	Wrong: "a replica that was restored does not know the numbers of batches, and does not do what the others do with the next",
	Needs: []string{oftenSnapshots},
	Edits: []Edit{{
		File: "fsm/records.go",
		Old:  `	if last := len(s.kept) - 1; last >= 0 {`,
		New: `	if s.lastNumber > 0 && seeded.Bug("a snapshot that forgets the dedupe table") {
		r.LastNumber = 0
		return r
	}
	if last := len(s.kept) - 1; last >= 0 {`,
	}},
	Hunts: []Hunt{
		scene("WriteAfterARestart", checker.NotLinearizable),
		sim("register", "isolate-follower,isolate-replica,halves", checker.NotLinearizable, checker.Once, checker.Diverged), // who was away gets a snapshot
	},
}

var snapshotWithoutParked = Bug{
	Name:  "a snapshot that forgets the parked members",
	Wrong: "the members of a life that was over when the snapshot was taken do not come back with their process",
	Needs: []string{oftenSnapshots},
	Edits: []Edit{
		{
			File: "fsm/capture.go",
			Old:  `if s := t.byName[name]; s.count > 0 {`,
			New:  `if s := t.byName[name]; s.count > 0 && !(s.parked && seeded.Bug("a snapshot that forgets the parked members")) {`,
		},
		{ // what is written counts what is written, or it could not be read at all
			File: "fsm/snapshot.go",
			Old:  `		h.Channels, h.Unswept = uint64(s.count.channels), uint64(s.count.unswept)`,
			New: `		h.Channels, h.Unswept = uint64(s.count.channels), uint64(s.count.unswept)
		if seeded.Active("a snapshot that forgets the parked members") {
			h.Channels -= s.seededAllParked()
		}`,
		},
		{
			File: "fsm/snapshot.go",
			Old:  `func (s *State) snapshotHead() *fsmpb.SnapshotHead {`,
			New: `// seededAllParked counts the channels that have parked members only.
func (s *State) seededAllParked() (n uint64) {
	for i := range shards {
		for _, ch := range s.channels[i].byID {
			if ch == nil || ch.ended != 0 {
				continue
			}
			parked, visible := false, false
			for _, c := range ch.cells {
				sid := s.sids.at(c.sid)
				parked, visible = parked || sid.parked && sid.dead == 0, visible || sid.shown()
			}
			if parked && !visible {
				n++
			}
		}
	}
	return n
}

func (s *State) snapshotHead() *fsmpb.SnapshotHead {`,
		},
	},
	Hunts: []Hunt{
		scene("AwayOverARestart", checker.Diverged),
		sim("set", "isolate-follower,isolate-replica,isolate-leader,halves", checker.Lost, checker.Diverged),
	},
}
