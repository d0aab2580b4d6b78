package transport

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestPreface_RoundTrip(t *testing.T) {
	var b bytes.Buffer
	want := preface{source: "a", target: strings.Repeat("b", maxNodeID)}
	if err := writePreface(&b, want); err != nil {
		t.Fatal(err)
	}
	b.WriteString("raft's own bytes")
	got, err := readPreface(&b)
	if err != nil || got != want {
		t.Errorf("read %v, %v, want %v", got, err, want)
	}
	if rest := b.String(); rest != "raft's own bytes" {
		t.Errorf("the preface took bytes of the stream: %q is left", rest)
	}
}

func TestPreface_OtherVersionIsToldSo(t *testing.T) {
	if _, err := readPreface(strings.NewReader("GCR\x02whatever")); !errors.Is(err, errPrefaceVersion) {
		t.Errorf("%v, want %v", err, errPrefaceVersion)
	}
	b, _ := serve(t, Options{NodeID: "b"})
	c := rawDial(t, b.Addr())
	if _, err := c.Write([]byte("\x01GCR\x02")); err != nil {
		t.Fatal(err)
	}
	if err := readVerdict(c, "b"); !errors.Is(err, errPrefaceVersion) {
		t.Errorf("verdict: %v, want %v", err, errPrefaceVersion)
	}
}

func TestVerdict_Reading(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		want   error // nil: any
		ok     bool
	}{
		"welcome":                {"\x01\x01b", nil, true},
		"welcome from another":   {"\x01\x01c", ErrWrongNode, false},
		"wrong node":             {"\x02\x01c", ErrWrongNode, false},
		"stranger":               {"\x03\x01b", nil, false},
		"unknown verdict":        {"\x63\x01b", nil, false},
		"nothing":                {"", nil, false},
		"cut short":              {"\x01\x05b", nil, false},
		"an id without a length": {"\x01\x00", nil, false},
	} {
		err := readVerdict(strings.NewReader(c.answer), "b")
		if (err == nil) != c.ok || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzPreface(f *testing.F) {
	var b bytes.Buffer
	_ = writePreface(&b, preface{source: "a", target: "b"})
	f.Add(b.Bytes())
	f.Add([]byte("GCR\x01\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := readPreface(bytes.NewReader(data))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := writePreface(&again, p); err != nil || !bytes.HasPrefix(data, again.Bytes()) {
			t.Errorf("%q was read as %v, which is written %q (%v)", data, p, again.Bytes(), err)
		}
	})
}
