package seeded

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A time that leaves the process, or loses its monotonic reading, follows the wall clock.
var wallClock = regexp.MustCompile(`\.(Unix|UnixMilli|UnixMicro|UnixNano|UTC|Local|In|MarshalBinary|AppendBinary|MarshalText)\(|time\.(Unix|UnixMilli|UnixMicro|Parse|ParseInLocation)\(|timestamppb`)

// Jumps of the wall clock are nothing to the product but in the one place where the overlay
// makes it jump. When a data directory was retired is written down for people.
func TestProduct_ReadsTheWallClockOnce(t *testing.T) {
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, dir := range []string{"node", "fsm", "transport", "cluster", "cmd/globalchannel"} {
		if err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(source)) {
				if code, _, _ := strings.Cut(line, "//"); wallClock.MatchString(code) {
					rel, err := filepath.Rel(root, path)
					if err != nil {
						return err
					}
					found = append(found, filepath.ToSlash(rel)+": "+strings.TrimSpace(code))
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	edit := conditions[1].edits[0]
	want := map[string]string{edit.File: edit.Old, "node/internal/disk/identity.go": "Time: at.UTC()"}
	for _, f := range found {
		file, code, _ := strings.Cut(f, ": ")
		if part, ok := want[file]; !ok || !strings.Contains(code, part) {
			t.Errorf("the wall clock is read in %s", f)
		}
		delete(want, file)
	}
	if len(want) > 0 {
		t.Errorf("not found, so this looks in the wrong place: %v", want)
	}
}
