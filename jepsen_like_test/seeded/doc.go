// Package seeded proves that the checkers can see: it puts known bugs into the
// product, one at a time, and the runs must find each.
//
// The product has no switches for them. A Bug (bug.go; the table is bugs.go and the
// files that it names) is a few edits of its source, each an exact text that must occur
// once. Overlay (overlay.go) writes the edited files beside the source and the JSON
// that tells the compiler about them (go help build, -overlay). One such build has all
// bugs; a variable of the environment says which one a process has, if any.
//
// A Hunt (hunt.go) is where a bug is looked for: the tests of a package, by name, and
// what a checker would call it. Hunter.Run (hunter.go) builds their test program, and the
// binary of globalchannel, once, and runs it with another seed each time until
// a checker reports a violation. Nothing else counts as a catch: not a crash, not a
// timeout, not a test that says that too little was done (verdict.go).
//
// A bug whose edit has no effect in a run can't be found in it. So the edits ask for
// their switch only where it makes a difference, and the first time leaves a mark;
// Catch.Bit says how many runs it bit in.
//
// # How to run it
//
//	go test ./jepsen_like_test/seeded                     # edits apply, compile, quick ones are caught
//	go test ./jepsen_like_test/seeded -seeded -timeout=3h # each bug is looked for
//	go test ./jepsen_like_test/seeded -seeded -bug 'no dedupe' -v
//
// When a change of the product makes an edit apply no longer, the test says which: mend
// the edit, so that it is the same bug in the new code.
package seeded
