package seeded

// Bug is a mistake that somebody could have made.
type Bug struct {
	Name  string
	Wrong string // what goes wrong, in one line
	Edits []Edit
	Needs []string // conditions without which it has no occasion; see conditions
	Hunts []Hunt   // where it is looked for, the best first; none: nothing finds it yet
}

// Edit is a change of one file. Its new text asks seeded.Bug with the bug's name, and does
// what the old one did where that says no.
type Edit struct {
	File     string // below the module's root
	Old, New string // Old occurs exactly once
}

// The variables that the edited product reads. The harness keeps those that begin with
// GLOBALCHANNEL_ from the processes that it starts.
const (
	bugVariable  = "JEPSEN_LIKE_SEEDED_BUG"   // names, with commas between them
	markVariable = "JEPSEN_LIKE_SEEDED_MARKS" // a directory
)

// edits are all there are, those of the conditions too.
func edits() (all []Edit) {
	for _, b := range Bugs {
		all = append(all, b.Edits...)
	}
	for _, c := range conditions {
		all = append(all, c.edits...)
	}
	return all
}
