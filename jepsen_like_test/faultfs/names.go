package faultfs

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// node is a *file or a *dir.
type node interface{ about() *attr }

// attr is durable at once.
type attr struct {
	ino    uint64
	mode   uint32 // permissions only
	mtime  time.Time
	parent *dir // where it can be found; nil: nowhere any more
}

func (a *attr) about() *attr { return a }

type dir struct {
	attr
	entries map[string]node
	synced  map[string]node // what a power cut would leave
}

func newDir(a attr) *dir {
	return &dir{attr: a, entries: make(map[string]node), synced: make(map[string]node)}
}

// tree is all names, and the changes of them that were not synced.
type tree struct {
	root    *dir
	lastIno uint64
	changes []change // in their order
}

// change is a creation, a removal or a renaming. It takes place as a whole.
type change []binding

// binding says what a name stands for.
type binding struct {
	in   *dir
	name string
	to   node // nil: there is no such name
}

func newTree() *tree { return &tree{root: newDir(attr{ino: 1, mode: 0o700}), lastIno: 1} }

func (t *tree) newAttr(mode uint32) attr {
	t.lastIno++
	return attr{ino: t.lastIno, mode: mode & 0o7777, mtime: time.Now()}
}

func (t *tree) change(c ...binding) {
	for _, b := range c {
		if old := b.in.entries[b.name]; old != nil {
			old.about().parent = nil
		}
		bind(b.in.entries, b)
		b.in.mtime = time.Now()
	}
	for _, b := range c {
		if b.to != nil {
			b.to.about().parent = b.in
		}
	}
	t.changes = append(t.changes, c)
}

func bind(names map[string]node, b binding) {
	if b.to == nil {
		delete(names, b.name)
	} else {
		names[b.name] = b.to
	}
}

// syncDir makes the changes in a directory durable.
func (t *tree) syncDir(d *dir) {
	t.syncName(d)
	t.sync(func(b binding) bool { return b.in == d })
}

// syncName makes durable what n is found by: its name, and those of its directories.
func (t *tree) syncName(n node) {
	path := map[node]bool{n: true}
	for p := n.about().parent; p != nil; p = p.parent {
		path[p] = true
	}
	t.sync(func(b binding) bool { return b.to != nil && path[b.to] && b.to.about().parent == b.in })
}

// sync makes durable the changes that are wanted and, since there is one order for each
// name, those of the same names before them.
func (t *tree) sync(wanted func(binding) bool) {
	if len(t.changes) == 0 {
		return // nearly always
	}
	type place struct {
		in   *dir
		name string
	}
	places := make(map[place]bool)
	var synced, left []change
	for _, c := range slices.Backward(t.changes) {
		if slices.ContainsFunc(c, func(b binding) bool { return wanted(b) || places[place{b.in, b.name}] }) {
			for _, b := range c {
				places[place{b.in, b.name}] = true
			}
			synced = append(synced, c)
		} else {
			left = append(left, c)
		}
	}
	for _, c := range slices.Backward(synced) {
		c.sync()
	}
	slices.Reverse(left)
	t.changes = left
	t.forget()
}

func (c change) sync() {
	for _, b := range c {
		bind(b.in.synced, b)
	}
}

// forget drops the changes in directories that nobody will see again: those are gone, and
// a power cut would not bring them back.
func (t *tree) forget() {
	if len(t.changes) == 0 {
		return
	}
	seen := make(map[*dir]bool)
	var walk func(*dir)
	walk = func(d *dir) {
		if seen[d] {
			return
		}
		seen[d] = true
		for _, names := range []map[string]node{d.entries, d.synced} {
			for _, n := range names {
				if sub, ok := n.(*dir); ok {
					walk(sub)
				}
			}
		}
	}
	walk(t.root)
	t.changes = slices.DeleteFunc(t.changes, func(c change) bool {
		return !slices.ContainsFunc(c, func(b binding) bool { return seen[b.in] })
	})
}

// syncAll makes everything durable.
func (t *tree) syncAll() {
	for _, c := range t.changes {
		c.sync()
	}
	t.changes = nil
	t.root.eachFile(func(f *file) { f.sync() })
}

// eachFile goes through the files that can be found.
func (d *dir) eachFile(do func(*file)) {
	for _, name := range slices.Sorted(maps.Keys(d.entries)) {
		switch n := d.entries[name].(type) {
		case *file:
			do(n)
		case *dir:
			n.eachFile(do)
		}
	}
}

// cut leaves what was synced. With r, some of the first changes of names survive too, as
// many as it says: file systems write them down in their order. It returns how many
// changes are gone.
func (t *tree) cut(r *rand.Rand) (lost int) {
	survivors := 0
	if r != nil {
		survivors = r.IntN(len(t.changes) + 1)
	}
	for _, c := range t.changes[:survivors] {
		c.sync()
	}
	lost = len(t.changes) - survivors
	t.changes = nil
	t.root.revert()
	t.root.eachFile(func(f *file) { lost += f.cut(tossed(r)) })
	return lost
}

func (d *dir) revert() {
	d.entries = maps.Clone(d.synced)
	for _, n := range d.entries {
		n.about().parent = d
		if sub, ok := n.(*dir); ok {
			sub.revert()
		}
	}
}
