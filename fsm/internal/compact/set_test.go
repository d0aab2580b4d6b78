package compact

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// check compares a set with what it should hold.
func check(t rapid.TB, mem *Slab, s *Set, want map[uint32]uint64) {
	t.Helper()
	if got := maps.Collect(s.All(mem)); !maps.Equal(got, want) || s.Len(mem) != len(want) {
		t.Fatalf("%d keys, want %d: %s", s.Len(mem), len(want), cmp.Diff(want, got))
	}
	for key, value := range want {
		if got, ok := s.Get(mem, key); !ok || got != value {
			t.Fatalf("key %d: %d, %v, want %d", key, got, ok, value)
		}
	}
}

func TestSet_IsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var mem Slab
		sets, wants := make([]Set, 2), []map[uint32]uint64{{}, {}} // in one memory: none may write into another
		keys := uint32(rapid.SampledFrom([]int{20, 100, 3000}).Draw(t, "keys"))
		valued := rapid.Bool().Draw(t, "valued")
		for range rapid.IntRange(1, 12).Draw(t, "rounds") {
			i := rapid.IntRange(0, 1).Draw(t, "set")
			s, want := &sets[i], wants[i]
			first, n := rapid.Uint32Range(1, keys).Draw(t, "first"), rapid.Uint32Range(1, keys).Draw(t, "n")
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0, 1, 2:
				for k := first; k < first+n; k++ {
					value := uint64(0)
					if valued && k%3 == 0 {
						value = uint64(k)<<32 | uint64(n)
					}
					_, there := want[k]
					if added := s.Put(&mem, k, value); added == there {
						t.Fatalf("put %d: added %v", k, added)
					}
					want[k] = value
				}
			case 3, 4:
				for k := first; k < first+n; k++ {
					_, there := want[k]
					if s.Delete(&mem, k) != there {
						t.Fatalf("delete %d: was there: %v", k, there)
					}
					delete(want, k)
				}
			case 5:
				s.Clear(&mem)
				clear(want)
			}
			for i := range sets {
				check(t, &mem, &sets[i], wants[i])
			}
		}
	})
}

// Who stays is visited once, whatever happens to the others between two calls.
func TestSet_ScanVisitsWhoStaysOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var mem Slab
		var s Set
		stay, visited := map[uint32]bool{}, map[uint32]int{}
		for k := range rapid.Uint32Range(1, 4000).Draw(t, "keys") {
			s.Put(&mem, k+1, 0)
			stay[k+1] = true
		}
		for from, done := uint64(0), false; !done; {
			next, end := s.Scan(&mem, from, rapid.IntRange(1, 800).Draw(t, "max"), func(key uint32, _ uint64) {
				if Order(key) < from {
					t.Fatalf("key %d was passed", key)
				}
				visited[key]++
			})
			for key := range stay {
				if passed := Order(key) < next; passed && visited[key] != 1 {
					t.Fatalf("key %d was visited %d times when the scan had passed it", key, visited[key])
				}
			}
			from, done = next, end
			first, n := rapid.Uint32Range(1, 6000).Draw(t, "first"), rapid.Uint32Range(0, 4000).Draw(t, "n")
			add := rapid.Bool().Draw(t, "add")
			for k := first; k < first+n; k++ {
				if add {
					s.Put(&mem, k, 0)
				} else {
					s.Delete(&mem, k)
					delete(stay, k)
				}
			}
		}
		for key := range stay {
			if visited[key] != 1 {
				t.Fatalf("key %d was visited %d times", key, visited[key])
			}
		}
	})
}

// The sum of what sets hold stays near what their keys need, at each size, and all of it
// comes back.
func TestSet_NeedsFewBytesPerKey(t *testing.T) {
	for n, most := range map[int]float64{10: 4.5, 100: 6, 1000: 6.5, 100_000: 7} {
		var mem Slab
		sets := make([]Set, max(1, 200_000/n))
		random := uint32(1)
		for i := range sets {
			for range n {
				random = random*1664525 + 1013904223
				sets[i].Put(&mem, random|1, 0)
			}
		}
		keys := 0
		for i := range sets {
			keys += sets[i].Len(&mem)
		}
		bytes := float64(mem.Size()) / float64(keys)
		t.Logf("%d keys a set: %.2f bytes a key", n, bytes)
		if bytes > most {
			t.Errorf("%d keys a set: %.2f bytes a key, at most %.1f expected", n, bytes, most)
		}
		full := mem.Size()
		for i := range sets {
			for _, key := range sets[i].AppendKeys(&mem, nil) {
				sets[i].Delete(&mem, key)
			}
		}
		if mem.Size() > full/10 {
			t.Errorf("%d keys a set: %d bytes of %d are left when all are empty", n, mem.Size(), full)
		}
		for i := range sets { // again
			for range n {
				random = random*1664525 + 1013904223
				sets[i].Put(&mem, random|1, 0)
			}
		}
		if mem.Size() > full*5/4 {
			t.Errorf("%d keys a set: %d bytes when filled again, %d before", n, mem.Size(), full)
		}
	}
}

func TestSet_MillionsInPagesOnly(t *testing.T) {
	var mem Slab
	var s Set
	const n = 3_000_000
	var longest time.Duration
	for k := uint32(1); k <= n; k++ {
		start := time.Now()
		s.Put(&mem, k, 0)
		longest = max(longest, time.Since(start))
	}
	t.Logf("%.2f bytes a key, longest put %v", float64(mem.Size())/n, longest)
	seen := 0
	for from, done := uint64(0), false; !done; {
		before := seen
		from, done = s.Scan(&mem, from, 1000, func(uint32, uint64) { seen++ })
		if seen-before > 1000+MaxBlock {
			t.Fatalf("%d keys in one call", seen-before)
		}
	}
	if seen != n {
		t.Errorf("%d keys scanned, want %d", seen, n)
	}
	for k := uint32(1); k <= n; k++ {
		if !s.Delete(&mem, k) {
			t.Fatalf("key %d is not there", k)
		}
	}
	if s.Len(&mem) != 0 || !s.Empty() {
		t.Errorf("%d keys are left, empty: %v", s.Len(&mem), s.Empty())
	}
}

func TestSet_CallsDoNotAllocate(t *testing.T) {
	var mem Slab
	var s Set
	for k := range uint32(500) {
		s.Put(&mem, k+1, 0)
	}
	keys := make([]uint32, 0, 1000)
	allocs := testing.AllocsPerRun(100, func() {
		s.Put(&mem, 9999, 0)
		s.Get(&mem, 9999)
		s.Delete(&mem, 9999)
		keys = s.AppendKeys(&mem, keys[:0])
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

func TestSlab_BlocksDoNotOverlap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type held struct {
			ref   Ref
			words int
			mark  uint32
		}
		var mem Slab
		var blocks []held
		for i := range rapid.IntRange(1, 300).Draw(t, "steps") {
			if len(blocks) > 0 && rapid.IntRange(0, 2).Draw(t, "free") == 0 {
				at := rapid.IntRange(0, len(blocks)-1).Draw(t, "which")
				mem.Free(blocks[at].ref)
				blocks = slices.Delete(blocks, at, at+1)
			} else {
				b := held{words: rapid.IntRange(1, MaxBlock).Draw(t, "words"), mark: uint32(i)}
				b.ref = mem.Alloc(b.words)
				for j := range mem.Block(b.ref, ClassWords(b.words)) {
					mem.Block(b.ref, ClassWords(b.words))[j] = b.mark
				}
				blocks = append(blocks, b)
			}
			for _, b := range blocks {
				for _, w := range mem.Block(b.ref, ClassWords(b.words)) {
					if w != b.mark {
						t.Fatalf("block %d of %d words was written to", b.ref, b.words)
					}
				}
			}
		}
	})
}
