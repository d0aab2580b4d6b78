package compact

import (
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

var seed = maphash.MakeSeed()

func add(t *Texts, text string) uint32 { return t.Add(Hash(seed, []byte(text)), []byte(text)) }

func find(t *Texts, text string) uint32 { return t.Find(Hash(seed, []byte(text)), []byte(text)) }

func TestTexts_AreAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := NewTexts(new(Slab), seed)
		ids, unlinked := map[string]uint32{}, map[string]uint32{}
		length := rapid.SampledFrom([]int{0, 20, 240}).Draw(t, "length")
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			text := strings.Repeat("x", length) + fmt.Sprint(rapid.IntRange(0, 60).Draw(t, "text"))
			id, there := ids[text]
			_, limbo := unlinked[text]
			switch {
			case limbo && rapid.Bool().Draw(t, "release"):
				texts.Release(unlinked[text])
				delete(unlinked, text)
			case !there:
				ids[text] = add(texts, text)
				texts.SetData(ids[text], uint32(len(ids)))
			case limbo || rapid.Bool().Draw(t, "remove"):
				texts.Remove(id)
				delete(ids, text)
			default:
				texts.Unlink(id)
				unlinked[text] = id
				delete(ids, text)
			}
			if texts.Len() != len(ids) {
				t.Fatalf("%d texts, want %d", texts.Len(), len(ids))
			}
			seen := map[uint32]string{}
			for text, id := range ids {
				if got := find(texts, text); got != id || texts.FindString(text) != id || string(texts.Text(id)) != text || id >= texts.Cap() {
					t.Fatalf("%q has id %d, want %d, which is %q", text, got, id, texts.Text(id))
				}
				seen[id] = text
			}
			for text, id := range unlinked {
				if _, again := ids[text]; !again && find(texts, text) != 0 {
					t.Fatalf("%q is found", text)
				}
				if string(texts.Text(id)) != text || seen[id] != "" {
					t.Fatalf("unlinked id %d is %q, and %q", id, texts.Text(id), seen[id])
				}
			}
		}
	})
}

func TestTexts_NeedFewBytes(t *testing.T) {
	var mem Slab
	shards := make([]*Texts, 64)
	for i := range shards {
		shards[i] = NewTexts(&mem, seed)
	}
	const n = 200_000
	for i := range n {
		add(shards[i%64], fmt.Sprintf("user:%08d", i))
	}
	size := mem.Size()
	for i := range shards {
		size += shards[i].Size()
	}
	t.Logf("%.1f bytes a text of 13", float64(size)/n)
	if size > 36*n {
		t.Errorf("%.1f bytes a text of 13, at most 36 expected", float64(size)/n)
	}
}

// Readers hold ids of texts that stay, while others come and go.
func TestTexts_TextMayBeReadMeanwhile(t *testing.T) {
	texts := NewTexts(new(Slab), seed)
	var stay []uint32
	for i := range 100 {
		stay = append(stay, add(texts, fmt.Sprintf("stays %d", i)))
	}
	var done atomic.Bool
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for !done.Load() {
				for i, id := range stay {
					if got := string(texts.Text(id)); got != fmt.Sprintf("stays %d", i) {
						t.Errorf("id %d is %q", id, got)
						return
					}
				}
			}
		})
	}
	for round := range 30 {
		var ids []uint32
		for i := range 500 {
			ids = append(ids, add(texts, fmt.Sprintf("comes %d.%d", round, i)))
			texts.SetData(stay[i%100], uint32(i))
		}
		for _, id := range ids {
			texts.Remove(id)
		}
	}
	done.Store(true)
	readers.Wait()
}

var sink uint32

func BenchmarkTexts_Find(b *testing.B) {
	texts := NewTexts(new(Slab), seed)
	var all []string
	for i := range 30_000 {
		all = append(all, fmt.Sprintf("user:%08d", i))
		add(texts, all[i])
	}
	i := 0
	for b.Loop() {
		sink = find(texts, all[i*7919%len(all)])
		i++
	}
}
