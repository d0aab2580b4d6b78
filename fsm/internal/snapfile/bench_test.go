package snapfile

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// What a membership takes in a snapshot, and how long to write and to read it: small
// cells of few out of many players, and large ones.
func BenchmarkChannels(b *testing.B) {
	for _, size := range []struct{ channels, members int }{{10_000, 10}, {100, 1000}} {
		channels := benchChannels(size.channels, size.members)
		memberships := float64(size.channels * size.members)
		raw := encodeChannels(channels)
		pack, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
		if err != nil {
			b.Fatal(err)
		}
		stored := float64(len(pack.EncodeAll(raw, nil)))
		b.Run(fmt.Sprint("encode/", size.members), func(b *testing.B) {
			for b.Loop() {
				encodeChannels(channels)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/memberships, "ns/membership")
			b.ReportMetric(stored/memberships, "bytes/membership")
		})
		b.Run(fmt.Sprint("decode/", size.members), func(b *testing.B) {
			known := func(id uint32) bool { return id != 0 }
			for b.Loop() {
				if err := DecodeChannels(raw, testBase, 1, known, func([]byte, uint64, []Cell) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/memberships, "ns/membership")
		})
	}
}

func benchChannels(n, members int) []channel {
	rng := rand.New(rand.NewPCG(1, 2))
	channels := make([]channel, n)
	for i := range channels {
		ids := make([]uint32, 0, members)
		for len(ids) < members {
			for len(ids) < members {
				ids = append(ids, 1+rng.Uint32N(200_000))
			}
			slices.Sort(ids)
			ids = slices.Compact(ids)
		}
		channels[i] = channel{Name: fmt.Sprintf("room%06d", i), Changed: rng.Uint64N(testBase), Cells: []Cell{{Members: ids}}}
	}
	slices.SortFunc(channels, func(a, b channel) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	return channels
}
