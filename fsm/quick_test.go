package fsm

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// drawOps are operations of which most are plain.
func drawOps(t *rapid.T) (ops []Op) {
	usual := rapid.StringMatching(`[a-z0-9:/.-]{0,24}`)
	odd := rapid.OneOf(
		rapid.StringOfN(rapid.RuneFrom([]rune{'a', 'b', 'c', 'd', 0}), 0, 20, -1),
		rapid.StringOfN(rapid.RuneFrom([]rune{'a', 'b', 0x7f, 'é', '世'}), 0, 20, -1),
		rapid.StringMatching(`[a-z]{120,132}`),
	)
	text := rapid.Custom(func(t *rapid.T) string {
		if rapid.IntRange(0, 15).Draw(t, "odd") == 0 {
			return odd.Draw(t, "text")
		}
		return usual.Draw(t, "text")
	})
	number := rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 300), rapid.Just(uint64(1)<<48|7))
	for range rapid.IntRange(0, 3).Draw(t, "operations") {
		ops = append(ops, Op{
			Kind: fsmpb.OpKind(rapid.IntRange(1, int(lastKind)).Draw(t, "kind")),
			Name: text.Draw(t, "name"), UID: text.Draw(t, "uid"), SID: text.Draw(t, "sid"),
			Session: number.Draw(t, "session"), Epoch: number.Draw(t, "epoch"),
		})
	}
	return ops
}

// Whatever bytes come, what the short way takes the long one takes too, and reads the same.
func TestDecoder_QuickGroupReadsWhatWireReads(t *testing.T) {
	taken, plainOps := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		group := AppendGroup(nil, rapid.Uint64Range(0, 1<<40).Draw(t, "seen"), drawOps(t)...)
		w := wire{rest: group, message: "Batch"}
		w.next(4, 4)
		data := bytes.Clone(w.nested())
		for range rapid.IntRange(0, 4).Draw(t, "changes") / 2 {
			at := rapid.IntRange(0, len(data)).Draw(t, "at")
			part := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 8, 0x0a, 0x12, 0x1a, 0x22, 0x30, 0x38, 0x7f, 0x80, 0xff}), 0, 3).Draw(t, "bytes")
			cut := min(at+rapid.IntRange(0, 2).Draw(t, "cut"), len(data))
			data = bytes.Join([][]byte{data[:at], part, data[cut:]}, nil)
		}
		quick, slow := decoder{keep: true}, decoder{keep: true}
		if !quick.quickGroup(data) {
			if len(quick.ops)+len(quick.groups)+quick.count > 0 {
				t.Fatalf("%x was not taken, and left something", data)
			}
			return
		}
		taken++
		if err := slow.anyGroup(data); err != nil {
			t.Fatalf("%x is taken, but %v", data, err)
		}
		for i := range quick.ops {
			o := &quick.ops[i]
			texts := [][]byte{o.name, o.uid, o.sid}
			for _, text := range texts {
				if !o.plain || bytes.ContainsFunc(text, func(c rune) bool { return c == 0 || c > 0x7f }) {
					t.Fatalf("%x: %q is not plain", data, text)
				}
			}
			plainOps++
			o.plain = false
		}
		same := cmp.AllowUnexported(op{}, place{}, where{}, found{})
		if diff := cmp.Diff(slow.ops, quick.ops, same); diff != "" || slow.groups[0].seen != quick.groups[0].seen || slow.count != quick.count || quick.level != slow.level {
			t.Fatalf("%x (-wire +quick):\n%s", data, diff)
		}
	})
	if taken == 0 || plainOps == 0 {
		t.Error("nothing was taken")
	}
}

// What a caller writes with usual names takes the short way.
func TestDecoder_QuickGroupTakesWhatIsUsual(t *testing.T) {
	w := wire{rest: AppendGroup(nil, 1<<40,
		Op{Kind: fsmpb.OpKind_OP_ADD, Name: "guild:17", UID: "player-7", SID: "connector-1", Session: 1 << 33, Epoch: 1<<48 | 9},
		Op{Kind: fsmpb.OpKind_OP_LEAVE, Name: "guild:17", UID: "p", SID: "connector-1"},
		Op{Kind: fsmpb.OpKind_OP_DESTROY, Name: "guild:17"},
	)}
	w.next(4, 4)
	if d := (&decoder{keep: true}); !d.quickGroup(w.nested()) || len(d.ops) != 3 {
		t.Errorf("%d operations were read", len(d.ops))
	}
}
