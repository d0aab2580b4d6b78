package seeded

import (
	"regexp"
	"slices"
	"strings"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
)

// found are the lines in which tests tell what a checker has found: "3 violations, the
// first: lost: ...", and package trial, which lists all: "VIOLATION lost: ...". Behind the
// kind comes what it is about, in the checker's words.
var found = regexp.MustCompile(`(?m)(?:\b[1-9][0-9]* violations, the first:|^\s+VIOLATION) ([a-z][a-z ]*): (.*)$`)

// violation is the first of these kinds that a test program's output reports; nil if none
// is. A program that crashed, took too long, or found something else has not found it.
func violation(output string, kinds []checker.Kind) *checker.Violation {
	for _, m := range found.FindAllStringSubmatch(output, -1) {
		if kind := checker.Kind(m[1]); slices.Contains(kinds, kind) {
			return &checker.Violation{Kind: kind, Text: strings.TrimSpace(m[2])}
		}
	}
	return nil
}
