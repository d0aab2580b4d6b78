package harness

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pofresh/globalchannel/jepsen_like_test/fault"
)

// newest is the file of a data directory that would be missed most: of the log, or of
// the newest snapshot. What is in such a directory is known from package disk alone.
func newest(dir string, f fault.File) (path string, err error) {
	if f == fault.Snapshot {
		return newestSnapshot(filepath.Join(dir, "snapshots"))
	}
	segments, err := filepath.Glob(filepath.Join(dir, "wal", "*.wal"))
	if err != nil {
		return "", err
	}
	slices.Sort(segments) // their names begin with a number of fixed length
	for _, path := range slices.Backward(segments) {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if end(b) > 0 { // the next one is made before it is needed
			return path, nil
		}
	}
	path = filepath.Join(dir, "raft.db")
	_, err = os.Stat(path)
	return path, err
}

// newestSnapshot goes by their names, term-index-time.
func newestSnapshot(dir string) (path string, err error) {
	all, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	all = slices.DeleteFunc(all, func(e os.DirEntry) bool { return strings.HasSuffix(e.Name(), ".tmp") })
	if len(all) == 0 {
		return "", errors.New("there is no snapshot yet")
	}
	last := slices.MaxFunc(all, func(a, b os.DirEntry) int { return slices.Compare(numbers(a.Name()), numbers(b.Name())) })
	return filepath.Join(dir, last.Name(), "state.bin"), nil
}

func numbers(name string) (all []uint64) {
	for _, part := range strings.Split(name, "-") {
		n, err := strconv.ParseUint(part, 10, 64)
		all = append(all, cmp.Or(n, 0))
		if err != nil {
			break
		}
	}
	return all
}

// end is where the zeros begin that files are filled up with.
func end(b []byte) int { return len(bytes.TrimRight(b, "\x00")) }

func damage(path string, d fault.Damage, r *rand.Rand) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	content := end(b)
	if content == 0 {
		return fmt.Errorf("%s has no content", path)
	}
	if d == fault.Truncated {
		return os.Truncate(path, int64(r.IntN(content)))
	}
	flipped := make(map[int]bool)
	for range 1 + r.IntN(8) {
		i := r.IntN(content)
		for b[i] == 0 { // the last one is not
			i++
		}
		if !flipped[i] {
			b[i] ^= 1 << r.IntN(8)
			flipped[i] = true
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b[:content], 0)
	return errors.Join(err, f.Close())
}
