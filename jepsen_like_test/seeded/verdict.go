package seeded

import (
	"regexp"
	"slices"
	"strings"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
)

// verdicts is how tests end that have found something: "3 violations, the first: lost: ...".
// Behind the kind comes what it is about, in the checker's words.
var verdicts = regexp.MustCompile(`\b[1-9][0-9]* violations, the first: ([a-z][a-z ]*): (.*)`)

// listed are the lines of a report that follow its counts.
var listed = regexp.MustCompile(`(?m)^\s+([a-z][a-z ]*): (.*)$`)

// violation is the first of these kinds that a test program's output reports; nil if none
// is. A program that crashed, took too long, or found something else has not found it.
func violation(output string, kinds []checker.Kind) *checker.Violation {
	verdict := verdicts.FindStringSubmatch(output)
	if verdict == nil {
		return nil
	}
	for _, m := range append([][]string{verdict}, listed.FindAllStringSubmatch(output, -1)...) {
		if kind := checker.Kind(m[1]); slices.Contains(kinds, kind) {
			return &checker.Violation{Kind: kind, Text: strings.TrimSpace(m[2])}
		}
	}
	return nil
}
