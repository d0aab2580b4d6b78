package seeded

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const (
	module     = "github.com/pofresh/globalchannel"
	switchPath = module + "/jepsen_like_test/seeded/testdata/on" // whom edited files ask, and nobody else imports
)

// packageClause is the line behind which a file's new import goes: on the same line, so
// that no other one moves.
var packageClause = regexp.MustCompile(`(?m)^package \w+$`)

// Overlay writes all bugs into dir: edited copies of the product's files, and the JSON for
// the compiler's flag -overlay, whose path it returns. The error names each edit that
// does not apply any more.
func Overlay(dir string) (path string, err error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	byFile := make(map[string][]Edit)
	for _, e := range edits() {
		byFile[e.File] = append(byFile[e.File], e)
	}
	files := make(map[string][]byte)
	var errs []error
	for file, list := range byFile {
		source, err := os.ReadFile(filepath.Join(root, file))
		if err == nil {
			files[file], err = apply(string(source), list)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", file, err))
		}
	}
	if len(errs) > 0 {
		return "", errors.Join(errs...)
	}
	replace := make(map[string]string)
	for file, source := range files {
		to := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(to, source, 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, file)] = to
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, text, 0o600)
}

// moduleRoot is where the source of the product is.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("find the source of %s: %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// apply makes all edits of one file. Each is looked for in the source as it is, so that
// their order does not matter.
func apply(source string, edits []Edit) ([]byte, error) {
	type place struct {
		at, end int
		text    string
	}
	clause := packageClause.FindStringIndex(source)
	if clause == nil {
		return nil, errors.New("no package clause on a line of its own")
	}
	places := []place{{clause[1], clause[1], fmt.Sprintf("; import seeded %q", switchPath)}}
	var errs []error
	for _, e := range edits {
		if n := strings.Count(source, e.Old); n != 1 {
			errs = append(errs, fmt.Errorf("this occurs %d times, want once:\n%s", n, e.Old))
			continue
		}
		at := strings.Index(source, e.Old)
		places = append(places, place{at, at + len(e.Old), e.New})
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.at, b.at) })
	var out strings.Builder
	from := 0
	for _, p := range places {
		if p.at < from {
			errs = append(errs, fmt.Errorf("two edits change the same text, the second to:\n%s", p.text))
			continue
		}
		out.WriteString(source[from:p.at])
		out.WriteString(p.text)
		from = p.end
	}
	out.WriteString(source[from:])
	return []byte(out.String()), errors.Join(errs...)
}
