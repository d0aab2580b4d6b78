package seeded

import (
	"slices"
	"strings"
	"testing"
)

// A bug that asks for another one's name, or for none, would never be switched on, or with
// the others.
func TestBugs_AskForTheirOwnName(t *testing.T) {
	seen := make(map[string]bool)
	for _, b := range Bugs {
		if b.Name == "" || b.Wrong == "" || seen[b.Name] || strings.Contains(b.Name, ",") {
			t.Errorf("%q (%s): a bug needs a name of its own and a line that says what is wrong", b.Name, b.Wrong)
		}
		seen[b.Name] = true
		asks := 0
		for _, e := range b.Edits {
			asks += strings.Count(e.New, `seeded.Bug("`+b.Name+`")`)
			for _, quoted := range strings.Split(e.New, `seeded.`)[1:] {
				if !strings.HasPrefix(quoted, `Bug("`+b.Name+`")`) && !strings.HasPrefix(quoted, `Active("`+b.Name+`")`) {
					t.Errorf("%q asks %.60q", b.Name, quoted)
				}
			}
		}
		if asks == 0 {
			t.Errorf("no edit of %q asks whether it is on", b.Name)
		}
		for _, need := range b.Needs {
			if !slices.ContainsFunc(conditions, func(c condition) bool { return c.name == need }) {
				t.Errorf("%q needs %q, which is no condition", b.Name, need)
			}
		}
	}
}

func TestApply(t *testing.T) {
	const source = "package p\n\nvar a, b = 1, 2\n"
	const head = `package p; import seeded "` + switchPath + `"`
	for name, test := range map[string]struct {
		edits []Edit
		want  string // "": refused
	}{
		"in any order":     {[]Edit{{Old: "2", New: "4"}, {Old: "1", New: "3"}}, head + "\n\nvar a, b = 3, 4\n"},
		"not there":        {[]Edit{{Old: "x", New: "y"}}, ""},
		"there twice":      {[]Edit{{Old: ", ", New: "; "}}, ""},
		"one over another": {[]Edit{{Old: "a, b", New: "c"}, {Old: "b =", New: "d ="}}, ""},
	} {
		got, err := apply(source, test.edits)
		if (err != nil) != (test.want == "") || err == nil && string(got) != test.want {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, test.want)
		}
	}
	if _, err := apply("package p // and more\n", nil); err == nil {
		t.Error("a file whose package clause is not alone was edited")
	}
}
