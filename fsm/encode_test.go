package fsm_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// everyEntry is one of each command, with every message of the log in it.
func everyEntry() map[string]*fsmpb.Entry {
	op := opAdd("x", "u", "a", gen(2))
	op.Options = &fsmpb.ChannelOptions{TtlNs: 1}
	return map[string]*fsmpb.Entry{
		"found":    entryFound("c", &fsmpb.Settings{MaxVoters: 3}),
		"batches":  entryBatches(batch("a", gen(2), 1, op, opDestroy("y")), batch("b", gen(3), 7)),
		"up":       entryUp(attachedOf("a", "i", "b", 1)),
		"down":     entryDown("a", gen(2)),
		"resume":   entryUp(resuming(upOf("a", "i"), gen(2), removals(3, opLeave("x", "u", "a", gen(2))))),
		"forget":   entryForget(7),
		"raise":    entryRaise(3),
		"settings": entrySettings("wish", 9, &fsmpb.Settings{MaxVoters: 5}),
		"check":    entryCheckpoint(),
	}
}

func TestEncodeEntry_ComesBackEqual(t *testing.T) {
	for name, e := range everyEntry() {
		e.Version = 0
		data, err := fsm.EncodeEntry(fsm.Version, e)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if e.GetVersion() != fsm.Version {
			t.Errorf("%s: version %d was left", name, e.GetVersion())
		}
		back, err := fsm.DecodeEntry(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(e, back, protocmp.Transform()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		again, err := fsm.EncodeEntry(fsm.Version, back)
		if err != nil || !bytes.Equal(data, again) {
			t.Errorf("%s: a second encoding differs, error %v", name, err)
		}
	}
}

// Field 127 in each message of an entry, one after the other.
func TestDecodeEntry_UnknownFieldAtAnyDepthIsAnUnknownFormat(t *testing.T) {
	reached := map[protoreflect.Name]bool{}
	for name, e := range everyEntry() {
		for i := range len(messagesOf(e)) {
			strange := proto.CloneOf(e)
			m := messagesOf(strange)[i]
			m.SetUnknown([]byte{0xf8, 0x07, 1})
			reached[m.Descriptor().Name()] = true
			data, err := proto.Marshal(strange)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fsm.DecodeEntry(data); !errors.Is(err, fsm.ErrUnknownFormat) {
				t.Errorf("%s, %s: error %v, want unknown format", name, m.Descriptor().Name(), err)
			}
			// A newer server may ask this one to commit it: refused, not halted.
			if _, err := fsm.EncodeEntry(fsm.Version, strange); !errors.Is(err, fsm.ErrUnknownFormat) {
				t.Errorf("%s, %s: encode error %v, want unknown format", name, m.Descriptor().Name(), err)
			}
		}
	}
	for _, name := range []protoreflect.Name{"Entry", "Found", "Settings", "Batches", "Batch", "Group", "Op", "ChannelOptions", "ServerUp", "ServerDown"} {
		if !reached[name] {
			t.Errorf("message %s was not tried", name)
		}
	}
}

// messagesOf is every message in e, outermost first, in the order of fields.
func messagesOf(e *fsmpb.Entry) []protoreflect.Message {
	var all []protoreflect.Message
	var walk func(m protoreflect.Message)
	walk = func(m protoreflect.Message) {
		all = append(all, m)
		for i := range m.Descriptor().Fields().Len() {
			fd := m.Descriptor().Fields().Get(i)
			switch {
			case fd.Message() == nil || !m.Has(fd):
			case fd.IsList():
				for j := range m.Get(fd).List().Len() {
					walk(m.Get(fd).List().Get(j).Message())
				}
			default:
				walk(m.Get(fd).Message())
			}
		}
	}
	walk(e.ProtoReflect())
	return all
}

func TestDecodeEntry_TellsNewerFromBroken(t *testing.T) {
	encoded := func(e *fsmpb.Entry) []byte {
		data, err := proto.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	ofVersion := func(version uint32, e *fsmpb.Entry) []byte {
		e.Version = version
		return encoded(e)
	}
	good := encoded(everyEntry()["batches"])
	newer := everyEntry()["down"]
	newer.Version = fsm.Version + 1
	notText := bytes.Replace(encoded(entryDown("sid", 1)), []byte("sid"), []byte("\xff\xff\xff"), 1)
	for name, tc := range map[string]struct {
		data []byte
		want error
	}{
		"nothing":         {nil, fsm.ErrMalformed},
		"garbage":         {[]byte("garbage"), fsm.ErrMalformed},
		"truncated":       {good[:len(good)-1], fsm.ErrMalformed},
		"length lies":     {[]byte{8, 1, 0x1a, 0xff, 0xff, 0xff, 0xff, 0x0f}, fsm.ErrMalformed},
		"not UTF-8":       {notText, fsm.ErrMalformed},
		"no command":      {[]byte{8, 1}, fsm.ErrMalformed},
		"version 0":       {[]byte{0x1a, 0}, fsm.ErrMalformed},
		"two commands":    {[]byte{8, 1, 0x1a, 0, 0x2a, 0}, fsm.ErrMalformed},
		"batches twice":   {[]byte{8, 1, 0x1a, 0, 0x1a, 0}, fsm.ErrMalformed},
		"batches second":  {[]byte{8, 1, 0x2a, 0, 0x1a, 0}, fsm.ErrMalformed},
		"version last":    {[]byte{0x1a, 0, 8, 1}, fsm.ErrMalformed},
		"long version":    {[]byte{8, 0x81, 0, 0x1a, 0}, fsm.ErrMalformed},
		"newer field":     {[]byte{8, 1, 0x1a, 0, 0x50, 1}, fsm.ErrUnknownFormat},
		"newer batches":   {[]byte{8, fsm.Version + 1, 0x1a, 0}, fsm.ErrUnknownFormat},
		"newer version":   {encoded(newer), fsm.ErrUnknownFormat},
		"unknown command": {[]byte{8, 1, 0xfa, 0x07, 0}, fsm.ErrUnknownFormat},
		"unknown kind":    {encoded(entryBatches(batch("a", 1, 1, opKind(11)))), fsm.ErrUnknownFormat},
		"higher level":    {encoded(entryRaise(fsm.Version + 1)), fsm.ErrUnknownFormat},
		"too low for it":  {ofVersion(2, entryRaise(3)), fsm.ErrMalformed},
		"too low limits":  {ofVersion(3, entrySettings("id", 1, &fsmpb.Settings{MaxServers: 1})), fsm.ErrMalformed},
		"too low to hash": {ofVersion(3, entryCheckpoint()), fsm.ErrMalformed},
		"founding limits": {ofVersion(3, entryFound("c", &fsmpb.Settings{MaxMembers: 1})), fsm.ErrMalformed},
		"too low for ops": {ofVersion(2, entryBatches(batch("a", 1, 1, opKind(fsmpb.OpKind_OP_PRUNE)))), fsm.ErrMalformed},
	} {
		e, err := fsm.DecodeEntry(tc.data)
		if e != nil || !errors.Is(err, tc.want) {
			t.Errorf("%s: entry %v, error %v, want %v", name, e, err, tc.want)
		}
	}
}

func TestEncodeEntry_RefusesWhatCouldNotBeReadBack(t *testing.T) {
	for name, e := range map[string]*fsmpb.Entry{
		"nothing": nil, "no command": {}, "not UTF-8": entryDown("\xff", 1),
	} {
		if _, err := fsm.EncodeEntry(fsm.Version, e); !errors.Is(err, fsm.ErrMalformed) {
			t.Errorf("%s: error %v, want malformed", name, err)
		}
	}
}
