package faultfs

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// load reads an ordinary directory. Everything in it is durable.
func load(path string) (*tree, error) {
	t := newTree()
	if err := t.loadInto(t.root, path); err != nil {
		return nil, err
	}
	t.syncAll()
	return t, nil
}

func (t *tree) loadInto(d *dir, path string) error {
	all, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range all {
		info, err := e.Info()
		if err != nil {
			return err
		}
		from, a := filepath.Join(path, e.Name()), t.newAttr(uint32(info.Mode().Perm()))
		if e.IsDir() {
			sub := newDir(a)
			t.change(binding{d, e.Name(), sub})
			if err := t.loadInto(sub, from); err != nil {
				return err
			}
			continue
		}
		f := newFile(a)
		t.change(binding{d, e.Name(), f})
		if err := f.load(from); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) load(path string) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	for i := int64(0); ; i++ {
		var p page
		n, err := io.ReadFull(from, p[:])
		if n > 0 {
			f.pages[i], f.size = &p, i*pageSize+int64(n)
			if p == *blank {
				f.pages[i] = blank
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// store makes the directory hold what the tree has, and nothing else.
func (t *tree) store(path string) error {
	old, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range old {
		if err := os.RemoveAll(filepath.Join(path, e.Name())); err != nil {
			return err
		}
	}
	return t.root.store(path)
}

func (d *dir) store(path string) error {
	for name, n := range d.entries {
		to, err := filepath.Join(path, name), error(nil)
		switch n := n.(type) {
		case *file:
			err = n.store(to)
		case *dir:
			if err = os.Mkdir(to, os.FileMode(n.mode)); err == nil {
				err = n.store(to)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// store leaves holes where there is nothing.
func (f *file) store(path string) error {
	to, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, os.FileMode(f.mode))
	if err != nil {
		return err
	}
	for i, p := range f.pages {
		if p == blank {
			continue
		}
		if n := min(pageSize, f.size-i*pageSize); n > 0 {
			if _, err := to.WriteAt(p[:n], i*pageSize); err != nil {
				return errors.Join(err, to.Close())
			}
		}
	}
	return errors.Join(to.Truncate(f.size), to.Close())
}
