package faultfs

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

func TestCutPower_LeavesWhatWasSynced(t *testing.T) {
	for name, c := range map[string]struct {
		synced, after func(t *testing.T, in func(string) string)
		want          map[string]string
	}{
		"writes": {
			func(t *testing.T, in func(string) string) {
				put(t, in("a"), "synced")
				syncPath(t, in("a"))
			},
			func(t *testing.T, in func(string) string) {
				a := open(t, in("a"))
				_, err := a.WriteAt([]byte("not synced, and longer"), 0)
				must(t, err)
			},
			map[string]string{"a": "synced"},
		},
		"writes that were synced later": {
			func(t *testing.T, in func(string) string) { put(t, in("a"), "at first"); syncPath(t, in("a")) },
			func(t *testing.T, in func(string) string) { put(t, in("a"), "at last"); syncPath(t, in("a")) },
			map[string]string{"a": "at last"},
		},
		"truncation": {
			func(t *testing.T, in func(string) string) { put(t, in("a"), "synced"); syncPath(t, in("a")) },
			func(t *testing.T, in func(string) string) { must(t, os.Truncate(in("a"), 2)) },
			map[string]string{"a": "synced"},
		},
		"a name that nobody synced": {
			func(t *testing.T, in func(string) string) {},
			func(t *testing.T, in func(string) string) { put(t, in("a"), "a") },
			map[string]string{},
		},
		"a name, but not the content": {
			func(t *testing.T, in func(string) string) { put(t, in("a"), "a"); syncPath(t, in("")) },
			func(t *testing.T, in func(string) string) {},
			map[string]string{"a": ""},
		},
		"content, and so its name": {
			func(t *testing.T, in func(string) string) {
				must(t, os.Mkdir(in("d"), 0o700))
				put(t, in("d/a"), "a")
				put(t, in("d/b"), "b")
				syncPath(t, in("d/a"))
			},
			func(t *testing.T, in func(string) string) {},
			map[string]string{"d": "directory", "d/a": "a"},
		},
		"removal": {
			func(t *testing.T, in func(string) string) { put(t, in("a"), "a"); syncPath(t, in("a")) },
			func(t *testing.T, in func(string) string) { must(t, os.Remove(in("a"))) },
			map[string]string{"a": "a"},
		},
		"removal that was synced": {
			func(t *testing.T, in func(string) string) { put(t, in("a"), "a"); syncPath(t, in("a")) },
			func(t *testing.T, in func(string) string) { must(t, os.Remove(in("a"))); syncPath(t, in("")) },
			map[string]string{},
		},
		"replacement": {
			func(t *testing.T, in func(string) string) { put(t, in("a"), "old"); syncPath(t, in("a")) },
			func(t *testing.T, in func(string) string) {
				put(t, in("tmp"), "new")
				syncPath(t, in("tmp"))
				must(t, os.Rename(in("tmp"), in("a")))
			},
			map[string]string{"a": "old", "tmp": "new"},
		},
		"replacement that was synced": {
			func(t *testing.T, in func(string) string) { put(t, in("a"), "old"); syncPath(t, in("a")) },
			func(t *testing.T, in func(string) string) {
				put(t, in("tmp"), "new")
				syncPath(t, in("tmp"))
				must(t, os.Rename(in("tmp"), in("a")))
				syncPath(t, in(""))
			},
			map[string]string{"a": "new"},
		},
		"a directory that was renamed when it was complete": {
			func(t *testing.T, in func(string) string) {
				must(t, os.MkdirAll(in("s/1.tmp"), 0o700))
				put(t, in("s/1.tmp/x"), "x")
				syncPath(t, in("s/1.tmp/x"))
				must(t, os.Rename(in("s/1.tmp"), in("s/1")))
				syncPath(t, in("s"))
			},
			func(t *testing.T, in func(string) string) { must(t, os.RemoveAll(in("s/1"))) },
			map[string]string{"s": "directory", "s/1": "directory", "s/1/x": "x"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, dir := mounted(t)
			in := func(name string) string { return filepath.Join(dir, name) }
			c.synced(t, in)
			c.after(t, in)
			content(t, dir) // so that the kernel has it
			_, err := f.CutPower(nil)
			must(t, err)
			holds(t, dir, c.want)
			_, err = f.CutPower(nil)
			must(t, err)
			holds(t, dir, c.want)
		})
	}
}

// Of what was not synced a part survives, of each write by the page, and the same for
// the same seed.
func TestCutPower_TearsWrites(t *testing.T) {
	const pages = 64
	after := func(seed uint64) []byte {
		f, dir := mounted(t)
		path := filepath.Join(dir, "a")
		put(t, path, string(bytes.Repeat([]byte("-"), pages*pageSize)))
		syncPath(t, path)
		a := open(t, path)
		_, err := a.WriteAt(bytes.Repeat([]byte("+"), pages*pageSize), 0)
		must(t, err)
		lost, err := f.CutPower(rand.New(rand.NewPCG(seed, 0)))
		must(t, err)
		b, err := os.ReadFile(path)
		must(t, err)
		old := 0
		for p := range pages {
			page := b[p*pageSize : (p+1)*pageSize]
			if n := bytes.Count(page, []byte("-")); n == pageSize {
				old++
			} else if n != 0 {
				t.Fatalf("page %d is torn", p)
			}
		}
		if old != lost || old < pages/4 || old > pages*3/4 {
			t.Errorf("%d of %d pages are old, %d are said to be lost", old, pages, lost)
		}
		return b
	}
	a := after(1)
	if !bytes.Equal(a, after(1)) {
		t.Error("one seed gave two results")
	}
	if bytes.Equal(a, after(2)) {
		t.Error("two seeds gave one result")
	}
}

// Of changes of names the first ones survive, so that nothing is there without what came before.
func TestCutPower_NamesSurviveInTheirOrder(t *testing.T) {
	counts := make(map[int]bool)
	for seed := range uint64(20) {
		t := newTreeWith(t, 10)
		t.cut(rand.New(rand.NewPCG(seed, 0)))
		n := len(t.root.entries)
		counts[n] = true
		for i := range n {
			if t.root.entries[fmt.Sprint(i)] == nil {
				panic(fmt.Sprintf("%d names survived, not the %d.", n, i))
			}
		}
	}
	if len(counts) < 4 {
		t.Errorf("only %v names survived", counts)
	}
}

func newTreeWith(t *testing.T, names int) *tree {
	t.Helper()
	tree := newTree()
	for i := range names {
		tree.change(binding{tree.root, fmt.Sprint(i), newFile(tree.newAttr(0o600))})
	}
	return tree
}

// Directories that are gone for good leave nothing behind in memory.
func TestTree_ForgetsWhatIsGone(t *testing.T) {
	tree := newTree()
	for range 3 {
		d, f := newDir(tree.newAttr(0o700)), newFile(tree.newAttr(0o600))
		tree.change(binding{tree.root, "d", d})
		tree.change(binding{d, "f", f})
		tree.syncName(f)
		tree.change(binding{d, "f", nil})
		tree.change(binding{tree.root, "d", nil})
		tree.syncDir(tree.root)
	}
	if len(tree.changes) > 0 {
		t.Errorf("%d changes are kept", len(tree.changes))
	}
}

// A file against a slice of bytes, and another one for what is synced.
func TestFile_IsLikeBytes(t *testing.T) {
	const most = 3*pageSize + 100
	rapid.Check(t, func(t *rapid.T) {
		f := newFile(attr{})
		var now, synced []byte
		resize := func(n int) {
			if n <= len(now) {
				now = now[:n:n]
			} else {
				now = append(now[:len(now):len(now)], make([]byte, n-len(now))...)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				b := rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "bytes")
				if rapid.Bool().Draw(t, "long") {
					b = bytes.Repeat(b, 30)
				}
				off := rapid.IntRange(0, most).Draw(t, "offset")
				f.write(b, int64(off))
				now = bytes.Clone(now)
				resize(max(len(now), off+len(b)))
				copy(now[off:], b)
			},
			"truncate": func(t *rapid.T) {
				n := rapid.IntRange(0, most).Draw(t, "size")
				f.truncate(int64(n))
				resize(n)
			},
			"allocate": func(t *rapid.T) {
				off, n := rapid.IntRange(0, most).Draw(t, "offset"), rapid.IntRange(1, most).Draw(t, "size")
				f.allocate(int64(off), int64(n), false)
				resize(max(len(now), off+n))
				if !f.hasRoom(int64(off), int64(n)) {
					t.Fatal("no room where it was allocated")
				}
			},
			"sync": func(t *rapid.T) { f.sync(); synced = bytes.Clone(now) },
			"cut":  func(t *rapid.T) { f.cut(tossed(nil)); now = bytes.Clone(synced) },
			"": func(t *rapid.T) {
				b := make([]byte, len(now)+10)
				if got := b[:f.read(b, 0)]; !bytes.Equal(got, now) {
					t.Fatalf("%d bytes, want %d, or other ones", len(got), len(now))
				}
			},
		})
	})
}
