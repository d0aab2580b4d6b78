// Package on says which seeded bug is switched on. Only what seeded.Overlay has edited
// imports it: the product has no switches.
package on

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

var (
	active = strings.Split(os.Getenv("JEPSEN_LIKE_SEEDED_BUG"), ",")
	marked sync.Once
)

// Bug is asked where the bug would make a difference, and nowhere else. The first
// time that it says yes in a process, it leaves a mark: so a run in which nothing was
// found can be told from one in which there was nothing to find.
func Bug(name string) bool {
	if !Active(name) {
		return false
	}
	if dir := os.Getenv("JEPSEN_LIKE_SEEDED_MARKS"); dir != "" {
		marked.Do(func() { _ = os.WriteFile(filepath.Join(dir, "bit"), nil, 0o600) })
	}
	return true
}

// Jumped is another time, days before or after, where the clock has jumped.
func Jumped(now time.Time) time.Time {
	if !Active("the clock has jumped") {
		return now
	}
	return now.Add(rand.N(20*24*time.Hour) - 10*24*time.Hour)
}

// Active is Bug without the mark, for what a bug needs beforehand.
func Active(name string) bool { return slices.Contains(active, name) }
