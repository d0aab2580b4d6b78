package fsm_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/internal/snapfile"
)

// A file whose sums are right is refused too, or is a whole state that writes itself
// back: mutations of a whole file would never get past the sums.
func FuzzReadSnapshot_Sections(f *testing.F) {
	w := newWorld(f, "a", "b")
	w.do("a", opAdd("x", "u", "a", w.epoch("a")), session(opAdd("x", "u", "b", w.epoch("b")), 7))
	header, players, channels := sectionsOf(f, snapshotOf(f, w.s))
	f.Add(header.raw, players.number, players.raw, channels.number, channels.raw)
	f.Add(header.raw, channels.number, players.raw, players.number, channels.raw)
	f.Fuzz(func(t *testing.T, header []byte, playerShard uint32, players []byte, channelShard uint32, channels []byte) {
		var file bytes.Buffer
		out := snapfile.NewWriter(&file, snapfile.Version)
		out.Section(snapfile.Header, 0, header)
		out.Section(snapfile.Players, playerShard, players)
		out.Section(snapfile.Channels, channelShard, channels)
		if _, err := out.Close(); err != nil {
			t.Fatal(err)
		}
		s, err := fsm.ReadSnapshot(&file)
		if err != nil {
			if s != nil || !errors.Is(err, fsm.ErrMalformed) && !errors.Is(err, fsm.ErrUnknownFormat) {
				t.Fatalf("state %v beside error %v", s != nil, err)
			}
			return
		}
		if err := fsm.CheckIndexes(s); err != nil {
			t.Fatal(err)
		}
		first := snapshotOf(t, s)
		if again := snapshotOf(t, restored(t, first)); !bytes.Equal(first, again) {
			t.Fatal("an accepted snapshot does not survive the next one")
		}
		s.Apply(s.Index()+1, entryUp(upOf("a", "fuzz")))
	})
}

type section struct {
	number uint32
	raw    []byte
}

// sectionsOf are those of a file with one of each kind.
func sectionsOf(t testing.TB, file []byte) (header, players, channels section) {
	t.Helper()
	r, err := snapfile.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	o, err := snapfile.NewOpener()
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	kinds := map[snapfile.Kind]*section{snapfile.Header: &header, snapfile.Players: &players, snapfile.Channels: &channels}
	for {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return header, players, channels
		}
		if err != nil {
			t.Fatal(err)
		}
		raw, err := o.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		*kinds[p.Kind] = section{p.Number, bytes.Clone(raw)}
	}
}
