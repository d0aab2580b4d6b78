package node_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The README shows Example as a program, so that what a newcomer pastes is what
// runs in this package's tests.
func TestReadme_ShowsTheExample(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	must(t, err)
	block := regexp.MustCompile("(?s)```go\n(.*?)```").FindSubmatch(readme)
	if block == nil {
		t.Fatal("README.md has no Go block")
	}
	source, err := os.ReadFile("example_test.go")
	must(t, err)
	if diff := cmp.Diff(asProgram(string(source)), string(block[1])); diff != "" {
		t.Errorf("README.md differs from example_test.go (-example +README):\n%s", diff)
	}
}

func asProgram(example string) string {
	example = strings.Replace(example, "package node_test", "package main", 1)
	example = regexp.MustCompile(`(?m)(^//.*\n)*^func Example\(\)`).ReplaceAllString(example, "func main()")
	return regexp.MustCompile(`(?m)^\t// (Output:|to alice:|true).*\n`).ReplaceAllString(example, "")
}
