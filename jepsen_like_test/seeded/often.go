package seeded

// Often is the environment of a process of an overlay build that takes snapshots all
// the time, and has no bug.
func Often() []string { return []string{bugVariable + "=" + oftenSnapshots} }
