package disk

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// ripe makes a bbolt log that is some levels deep, of which a part was removed again, and
// returns the file.
func ripe(t *testing.T) (dir, path string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	belongs(t, dir, BoltDB)
	s := open(t, dir, BoltDB)
	long := strings.Repeat("y", 20<<10) // over several pages
	for i := uint64(2); i < 600; i += 50 {
		var logs []*raft.Log
		for j := i; j < i+50; j++ {
			data := "short"
			if j%40 == 0 {
				data = long
			}
			logs = append(logs, &raft.Log{Index: j, Term: 1, Data: []byte(data)})
		}
		must(t, s.Log.StoreLogs(logs))
	}
	must(t, s.Log.DeleteRange(1, 130))
	must(t, s.Close())
	return dir, filepath.Join(dir, logFile)
}

// A bit that is flipped anywhere where bbolt keeps its own order ends in an error, or in
// nothing: it panics over many of them, in goroutines of its own, too. What it says is
// there can be read.
func TestOpen_SurvivesEveryBitOfBoltsOwn(t *testing.T) {
	dir, path := ripe(t)
	whole, err := os.ReadFile(path)
	must(t, err)
	pageSize := os.Getpagesize()
	rnd := rand.New(rand.NewPCG(1, 2))
	refused, passed := 0, 0
	for page := 0; page*pageSize < len(whole); page++ {
		for range flipsPerPage {
			// The head, or the table of elements and the keys, mostly.
			at := rnd.IntN([]int{16, 256, pageSize}[rnd.IntN(3)])
			spoilt := slices.Clone(whole)
			spoilt[page*pageSize+at] ^= 1 << rnd.IntN(8)
			must(t, os.WriteFile(path, spoilt, 0o600))
			s, err := Open(context.Background(), dir, "c1", BoltDB, hclog.NewNullLogger())
			if err == nil {
				passed++
				must(t, s.Close())
				continue
			}
			if refused++; !strings.Contains(err.Error(), "is damaged") {
				t.Fatalf("byte %d of page %d: %v", at, page, err)
			}
		}
	}
	if refused < 100 || passed < 100 {
		t.Errorf("refused %d, passed %d: the test does not hit what is in use, and what is not", refused, passed)
	}
}

const flipsPerPage = 6

// bbolt has two heads, writes them in turn, and takes the older one if the newer one is
// damaged: a voter would forget what it had acknowledged last, or whom it voted for.
func TestOpen_RefusesADamagedHead(t *testing.T) {
	dir, path := ripe(t)
	whole, err := os.ReadFile(path)
	must(t, err)
	for _, page := range []int{0, os.Getpagesize()} {
		for at := page + pageHead; at < page+pageHead+metaSize; at++ {
			spoilt := slices.Clone(whole)
			spoilt[at] ^= 1 << (at % 8)
			must(t, os.WriteFile(path, spoilt, 0o600))
			refuses(t, dir, "c1", BoltDB, "is damaged")
		}
	}
	must(t, os.WriteFile(path, whole, 0o600))
	must(t, open(t, dir, BoltDB).Close())
}
