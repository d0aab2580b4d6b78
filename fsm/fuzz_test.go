package fsm_test

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm"
)

// Whatever decodes comes back from its encoding, and does not break a state.
func FuzzDecodeEntry(f *testing.F) {
	for _, e := range everyEntry() {
		data, err := proto.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	f.Add([]byte{8, 2, 0x1a, 0, 0x1a, 0})
	f.Add([]byte{0x1a, 0, 8, 2})
	f.Add([]byte{8, 1, 0x1a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := fsm.DecodeEntry(data)
		if res := fsm.NewReplica().Apply(&raft.Log{Index: 1, Type: raft.LogCommand, Data: data}).(fsm.Result); (res.Err == nil) != (err == nil) {
			t.Fatalf("decoded with error %v, applied with %v", err, res.Err)
		}
		if err != nil {
			if e != nil {
				t.Fatal("an entry beside an error")
			}
			return
		}
		again, err := fsm.EncodeEntry(fsm.Version, e)
		if err != nil {
			t.Fatalf("decoded, but not encodable: %v", err)
		}
		back, err := fsm.DecodeEntry(again)
		if err != nil || !proto.Equal(e, back) {
			t.Fatalf("came back as %v, error %v; was %v", back, err, e)
		}
		w := newWorld(t, "a", "b")
		w.do("a", opAdd("x", "u", "a", w.epoch("a")))
		w.apply(e)
		if again := restored(t, snapshotOf(t, w.s)); !bytes.Equal(snapshotOf(t, w.s), snapshotOf(t, again)) {
			t.Fatal("the state after it does not survive a snapshot")
		}
	})
}

// A snapshot is refused, or is a whole state that writes itself back. The input
// is tried as it is and with a good checksum, so that mutations get past it.
func FuzzReadSnapshot(f *testing.F) {
	full := snapshotOf(f, fullState(f).s)
	f.Add(full)
	f.Add(full[:len(full)-sha256.Size])
	f.Add(snapshotOf(f, fsm.NewState()))
	f.Add([]byte("GCHFSM\r\n\x00\x00\x00\x01\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, file := range [][]byte{data, sealBytes(data)} {
			s, err := fsm.ReadSnapshot(bytes.NewReader(file))
			if err != nil {
				if s != nil {
					t.Fatal("a state beside an error")
				}
				continue
			}
			first := snapshotOf(t, s)
			if again := snapshotOf(t, restored(t, first)); !bytes.Equal(first, again) {
				t.Fatal("an accepted snapshot does not survive the next one")
			}
			s.Apply(s.Index()+1, entryUp(upOf("a", "fuzz")))
		}
	})
}
