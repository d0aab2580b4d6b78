//go:build !race

// What is compiled here is the same under the race detector, and takes as long.

package seeded

import (
	"os/exec"
	"path"
	"slices"
	"testing"
)

// Every edit applies to the product as it is, and what comes of it compiles. A change of
// the product that takes a bug's place away fails here.
func TestOverlay_AppliesAndCompiles(t *testing.T) {
	overlay, err := Overlay(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	packages := []string{"./jepsen_like_test/seeded/testdata/on"}
	for _, e := range edits() {
		packages = append(packages, "./"+path.Dir(e.File))
	}
	slices.Sort(packages)
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"vet", "-overlay", overlay}, slices.Compact(packages)...)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %v\n%s", cmd.Args, err, out)
	}
}

// What takes a second is looked for in each run of the tests. The scenes themselves, which
// run as tests of their own, show that nothing is found there without a bug.
func TestSeeded_Quick(t *testing.T) {
	const runs = 20 // far more than it takes
	h := hunter(t)
	for _, b := range Bugs {
		for _, hunt := range b.Hunts {
			if hunt.Quick {
				h.find(t, b, hunt, runs)
			}
		}
	}
}
