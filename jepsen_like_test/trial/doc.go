// Package trial is one run of the proof, the same for real processes and for simulated
// clusters: a workload works while nemeses hurt the cluster one after the other, then
// everything is mended and the history is judged.
//
//	Spec      what is run: enough for a command that repeats it
//	Run       the run: run.go follows it from the first to the last step
//	Load      a workload with its checker (loads.go)
//	Result    the verdict, the counts, and why a run may not count
//	artefacts what a run that failed leaves: history, logs, pages, a timeline
//
// A run counts only if its faults were seen and enough was acknowledged: Result.Invalid
// says what was missing. An invalid run proves nothing, but is no violation.
package trial
