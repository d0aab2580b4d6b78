package snapfile

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const testBase = 1000

type player struct {
	UID   string
	Pairs []Pair
}

type channel struct {
	Name    string
	Changed uint64
	Cells   []Cell
}

func drawTexts(t *rapid.T, what string) []string {
	texts := rapid.SliceOfNDistinct(rapid.StringOfN(rapid.RuneFrom([]rune("abä")), 1, 30, 255), 1, 8, rapid.ID).Draw(t, what)
	slices.Sort(texts)
	return texts
}

// drawNumbers are ascending.
func drawNumbers(t *rapid.T, what string, most uint32, from ...uint32) []uint32 {
	numbers := rapid.SliceOfNDistinct(rapid.OneOf(rapid.Uint32Range(1, 20), rapid.Uint32Range(1, most)), 1, 12, rapid.ID).Draw(t, what)
	slices.Sort(numbers)
	return numbers
}

func encodePlayers(players []player) []byte {
	var e PlayersEncoder
	e.Reset(testBase)
	for _, p := range players {
		e.Add([]byte(p.UID), p.Pairs)
	}
	return bytes.Clone(e.Bytes())
}

func decodePlayers(raw []byte) (players []player, err error) {
	err = DecodePlayers(raw, testBase, 1<<20, func(rank uint32, uid []byte, pairs []Pair) error {
		if int(rank) != len(players) {
			return fmt.Errorf("rank %d after %d players", rank, len(players))
		}
		players = append(players, player{string(uid), slices.Clone(pairs)})
		return nil
	})
	return players, err
}

func TestPlayers_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []player
		for _, uid := range drawTexts(t, "uids") {
			p := player{UID: uid}
			for _, sid := range drawNumbers(t, "sids", 1<<20-1) {
				p.Pairs = append(p.Pairs, Pair{SID: sid, Added: rapid.Uint64Range(0, testBase).Draw(t, "added")})
			}
			want = append(want, p)
		}
		got, err := decodePlayers(encodePlayers(want))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("error %v (-want +got):\n%s", err, diff)
		}
	})
}

func encodeChannels(channels []channel) []byte {
	var e ChannelsEncoder
	e.Reset(testBase)
	for _, c := range channels {
		e.Add([]byte(c.Name), c.Changed, c.Cells)
	}
	return bytes.Clone(e.Bytes())
}

func decodeChannels(raw []byte) (channels []channel, err error) {
	known := func(id uint32) bool { return id != 0 }
	err = DecodeChannels(raw, testBase, 1<<20, known, func(name []byte, changed uint64, cells []Cell) error {
		c := channel{Name: string(name), Changed: changed}
		for _, a := range cells {
			c.Cells = append(c.Cells, Cell{SID: a.SID, Members: slices.Clone(a.Members), Sessions: slices.Clone(a.Sessions)})
		}
		channels = append(channels, c)
		return nil
	})
	return channels, err
}

func TestChannels_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []channel
		for _, name := range drawTexts(t, "names") {
			c := channel{Name: name, Changed: rapid.Uint64Range(0, testBase).Draw(t, "changed")}
			for _, sid := range drawNumbers(t, "sids", 1<<20-1) {
				a := Cell{SID: sid, Members: drawNumbers(t, "members", 1<<32-1)}
				switch rapid.IntRange(0, 2).Draw(t, "sessions") {
				case 1:
					a.Sessions = slices.Repeat([]uint64{rapid.Uint64Min(1).Draw(t, "session")}, len(a.Members))
				case 2:
					for i := range a.Members {
						a.Sessions = append(a.Sessions, uint64(i)%3)
					}
					if len(a.Sessions) == 1 { // a lone 0 is none
						a.Sessions = nil
					}
				}
				c.Cells = append(c.Cells, a)
			}
			want = append(want, c)
		}
		got, err := decodeChannels(encodeChannels(want))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("error %v (-want +got):\n%s", err, diff)
		}
	})
}

// Sessions that are all 0 are none, whoever says it how.
func TestChannels_SessionsOfZeroAreNone(t *testing.T) {
	with := []channel{{"x", 1, []Cell{{SID: 1, Members: []uint32{1, 2}, Sessions: []uint64{0, 0}}}}}
	without := []channel{{"x", 1, []Cell{{SID: 1, Members: []uint32{1, 2}}}}}
	if !bytes.Equal(encodeChannels(with), encodeChannels(without)) {
		t.Error("two encodings of the same")
	}
}

func TestDecode_RefusesWhatNoEncoderWrites(t *testing.T) {
	column := func(b ...byte) []byte { return append([]byte{byte(len(b))}, b...) }
	content := func(rows byte, columns ...[]byte) []byte { return append([]byte{rows}, bytes.Join(columns, nil)...) }
	one := column(0, 1, 'a') // shares nothing, 1 byte
	for name, raw := range map[string][]byte{
		"nothing":            {},
		"no rows":            content(0, column(), column(), column()),
		"row without a pair": content(1, one, column(0), column()),
		"too few rows":       content(2, one, column(1, 1), column(0)),
		"too many rows":      content(1, column(0, 1, 'a', 0, 1, 'b'), column(1, 1), column(0)),
		"bytes behind":       append(content(1, one, column(1, 1), column(0)), 0),
		"empty uid":          content(1, column(0, 0), column(1, 1), column(0)),
		"same uid again":     content(2, column(0, 1, 'a', 1, 0), column(1, 1, 1, 1), column(0, 0)),
		"uids out of order":  content(2, column(0, 1, 'b', 0, 1, 'a'), column(1, 1, 1, 1), column(0, 0)),
		"shared part cut":    content(2, column(0, 2, 'a', 'b', 0, 2, 'a', 'c'), column(1, 1, 1, 1), column(0, 0)),
		"shares too much":    content(1, column(1, 1, 'a'), column(1, 1), column(0)),
		"long number":        content(1, one, column(1, 0x81, 0), column(0)),
		"added above base":   content(1, one, column(1, 1), column(0xe9, 0x07)), // 1,001 before it
		"column that lies":   {1, 9, 0, 1, 'a'},
	} {
		if got, err := decodePlayers(raw); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, error %v, want malformed", name, got, err)
		}
	}
	if got, err := decodePlayers(content(1, one, column(1, 1), column(0))); err != nil || len(got) != 1 {
		t.Errorf("the good one: %v, error %v", got, err)
	}
	// names, changed, cells (how many; sid, members, kind), members, sessions
	cells := func(kind byte, members, sessions []byte) []byte {
		return content(1, one, column(0), column(1, 1, 2, kind), column(members...), column(sessions...))
	}
	for name, raw := range map[string][]byte{
		"no cell":              content(1, one, column(0), column(0), column(), column()),
		"no members":           content(1, one, column(0), column(1, 1, 0, 0), column(), column()),
		"more members than is": cells(noSessions, []byte{1}, nil),
		"member twice":         cells(noSessions, []byte{1, 0}, nil),
		"one session of zero":  cells(oneSession, []byte{1, 1}, []byte{0}),
		"all sessions equal":   cells(allSessions, []byte{1, 1}, []byte{7, 7}),
		"unknown kind":         cells(3, []byte{1, 1}, []byte{7, 7}),
	} {
		if got, err := decodeChannels(raw); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, error %v, want malformed", name, got, err)
		}
	}
	if got, err := decodeChannels(cells(allSessions, []byte{1, 1}, []byte{7, 8})); err != nil || len(got) != 1 {
		t.Errorf("the good one: %v, error %v", got, err)
	}
}

// Whatever is accepted would be written with the same bytes.
func FuzzDecodePlayers(f *testing.F) {
	f.Add(encodePlayers([]player{{"alice", []Pair{{1, 5}, {7, 1000}}}, {"alina", []Pair{{0, 0}}}}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		players, err := decodePlayers(raw)
		if err == nil && !bytes.Equal(encodePlayers(players), raw) {
			t.Errorf("%x is read as %v, which is %x", raw, players, encodePlayers(players))
		}
	})
}

func FuzzDecodeChannels(f *testing.F) {
	f.Add(encodeChannels([]channel{{"room", 9, []Cell{{1, []uint32{1, 70, 9000}, []uint64{1, 2, 0}}, {3, []uint32{5}, nil}}}, {"rooms", 0, []Cell{{0, []uint32{2, 3}, []uint64{4, 4}}}}}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		channels, err := decodeChannels(raw)
		if err == nil && !bytes.Equal(encodeChannels(channels), raw) {
			t.Errorf("%x is read as %v, which is %x", raw, channels, encodeChannels(channels))
		}
	})
}
