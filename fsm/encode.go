package fsm

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// EncodeEntry sets e.Version to the level of the state and gives the bytes for
// the log. What asks for a higher level is of the level that brought it: it may
// not be written before every server knows it. EncodeEntry refuses what
// DecodeEntry would refuse: an entry that halts every replica must not enter the
// log only because a newer or broken server asked this one to commit it.
func EncodeEntry(level uint32, e *fsmpb.Entry) ([]byte, error) {
	if e == nil {
		return nil, fmt.Errorf("encode entry: %w: no entry", ErrMalformed)
	}
	e.Version = level
	if e.GetRaiseLevel() != nil {
		e.Version = max(level, raiseVersion)
	}
	if err := checkEntry(e); err != nil {
		return nil, fmt.Errorf("encode entry: %w", err)
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(e)
	if err != nil { // a string that is not UTF-8
		return nil, fmt.Errorf("encode entry: %w: %w", ErrMalformed, err)
	}
	return data, nil
}

// DecodeEntry is the reverse. The error is ErrUnknownFormat where a newer
// binary may have written the entry, else ErrMalformed. Replica.Apply takes
// the same bytes, but reads batches without building messages of them.
func DecodeEntry(data []byte) (*fsmpb.Entry, error) {
	_, batches, err := new(decoder).entry(data)
	if err != nil {
		return nil, fmt.Errorf("decode entry: %w", err)
	}
	e := new(fsmpb.Entry)
	if err := proto.Unmarshal(data, e); err != nil {
		return nil, fmt.Errorf("decode entry: %w: %w", ErrMalformed, err)
	}
	if err := checkEntry(e); err != nil {
		return nil, fmt.Errorf("decode entry: %w", err)
	}
	if !batches && e.GetBatches() != nil {
		return nil, fmt.Errorf("decode entry: %w: batches in another order of fields", ErrMalformed)
	}
	return e, nil
}

func checkVersion(v uint32) error {
	if v > Version {
		return fmt.Errorf("%w: entry of version %d, this binary knows up to %d", ErrUnknownFormat, v, Version)
	} else if v < 1 {
		return fmt.Errorf("%w: entry of version %d", ErrMalformed, v)
	}
	return nil
}

func checkEntry(e *fsmpb.Entry) error {
	if err := checkVersion(e.GetVersion()); err != nil {
		return err
	}
	if err := checkKnown(e.ProtoReflect()); err != nil {
		return err
	}
	if e.GetCommand() == nil {
		return fmt.Errorf("%w: entry without a command", ErrMalformed)
	}
	if need := needs(e); e.GetVersion() < need {
		return fmt.Errorf("%w: entry of version %d with what came with version %d", ErrMalformed, e.GetVersion(), need)
	}
	// A state of that level holds, or will hold, what this binary does not know.
	if level := e.GetRaiseLevel().GetLevel(); level > Version {
		return fmt.Errorf("%w: level %d, this binary knows up to %d", ErrUnknownFormat, level, Version)
	}
	return nil
}

// raiseVersion brought the levels.
const raiseVersion = 3

// EntryLevel is the level of the state from which on an entry may be written.
func EntryLevel(e *fsmpb.Entry) uint32 {
	if e.GetRaiseLevel() != nil {
		return firstLevel // it is written with its own version
	}
	return max(needs(e), firstLevel)
}

// needs is the version that brought what an entry holds. Batches are checked
// where they are read.
func needs(e *fsmpb.Entry) uint32 {
	switch {
	case e.GetCheckpoint() != nil, limited(e.GetFound().GetSettings()), limited(e.GetSetSettings().GetSettings()):
		return scaleLevel
	case e.GetForget() != nil, e.GetRaiseLevel() != nil, e.GetSetSettings() != nil, e.GetServerUp().GetResume() != nil:
		return parkingLevel
	}
	return 1
}

// checkKnown finds what a newer binary wrote and the decoder of this one set
// aside: unknown fields and enum values, at any depth. It visits messages and
// enums only, which makes it a small part of decoding.
func checkKnown(m protoreflect.Message) error {
	if u := m.GetUnknown(); len(u) > 0 {
		return fmt.Errorf("%w: %d bytes of unknown fields in %s", ErrUnknownFormat, len(u), m.Descriptor().Name())
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		kind := fd.Kind()
		if (kind != protoreflect.MessageKind && kind != protoreflect.EnumKind) || !m.Has(fd) {
			continue
		}
		if err := checkField(fd, m.Get(fd)); err != nil {
			return err
		}
	}
	return nil
}

func checkField(fd protoreflect.FieldDescriptor, v protoreflect.Value) error {
	if !fd.IsList() {
		return checkValue(fd, v)
	}
	list := v.List()
	for i := range list.Len() {
		if err := checkValue(fd, list.Get(i)); err != nil {
			return err
		}
	}
	return nil
}

func checkValue(fd protoreflect.FieldDescriptor, v protoreflect.Value) error {
	if fd.Kind() == protoreflect.MessageKind {
		return checkKnown(v.Message())
	}
	if fd.Enum().Values().ByNumber(v.Enum()) == nil {
		return fmt.Errorf("%w: %s %d", ErrUnknownFormat, fd.Enum().Name(), v.Enum())
	}
	return nil
}
