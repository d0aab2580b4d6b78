package snapfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"
)

type section struct {
	kind   Kind
	number uint32
	raw    []byte
}

func someSections() []section {
	return []section{{Header, 0, []byte("header")}, {Players, 3, bytes.Repeat([]byte("players"), 90)}, {Channels, 5, []byte{}}}
}

func fileOf(t testing.TB, sections []section) ([]byte, Sum) {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out, Version)
	for _, s := range sections {
		if err := w.Section(s.kind, s.number, s.raw); err != nil {
			t.Fatal(err)
		}
	}
	sum, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), sum
}

// readFile reads a whole file.
func readFile(data []byte) (sections []section, err error) {
	r, err := NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	o, err := NewOpener()
	if err != nil {
		return nil, err
	}
	defer o.Close()
	for {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return sections, nil
		}
		if err != nil {
			return nil, err
		}
		raw, err := o.Open(p)
		if err != nil {
			return nil, err
		}
		sections = append(sections, section{p.Kind, p.Number, bytes.Clone(raw)})
	}
}

func TestFile_RoundTripAndItsSum(t *testing.T) {
	want := someSections()
	data, sum := fileOf(t, want)
	got, err := readFile(data)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d sections, error %v", len(got), err)
	}
	other := NewSummer(Version)
	for i := range want {
		if got[i].kind != want[i].kind || got[i].number != want[i].number || !bytes.Equal(got[i].raw, want[i].raw) {
			t.Errorf("section %d: %v, want %v", i, got[i], want[i])
		}
		other.Section(want[i].kind, want[i].number, want[i].raw)
	}
	if other.Sum() != sum {
		t.Errorf("without a file the sum is %v, with one %v", other.Sum(), sum)
	}
	// A format: what changes it needs a new version, not a new constant.
	if got := sum.String(); got != goldenSum {
		t.Errorf("sum %s, want %s", got, goldenSum)
	}
}

func TestFile_DamageAnywhereIsFound(t *testing.T) {
	data, _ := fileOf(t, someSections())
	for n := range data {
		if _, err := readFile(data[:n]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("%d of %d bytes: error %v, want malformed", n, len(data), err)
		}
	}
	for i := range data {
		for bit := range 8 {
			bad := bytes.Clone(data)
			bad[i] ^= 1 << bit
			if _, err := readFile(bad); err == nil {
				t.Fatalf("byte %d bit %d: no error", i, bit)
			}
		}
	}
	if _, err := readFile(append(bytes.Clone(data), 0)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a byte behind the end: error %v", err)
	}
}

// A length that lies costs no more memory than what really comes.
func TestFile_LengthsThatLieCostNothing(t *testing.T) {
	data, _ := fileOf(t, []section{{Header, 0, []byte("header")}})
	head := len(Magic) + 4
	for name, at := range map[string][]int{"raw": {5}, "stored": {9}, "both": {5, 9}} {
		bad := bytes.Clone(data)
		for _, field := range at {
			binary.BigEndian.PutUint32(bad[head+field:], MaxSection-1)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := readFile(bad)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, ErrMalformed) || got > 64<<20 {
			t.Errorf("%s length: error %v with %d bytes allocated", name, err, got)
		}
	}
}

func TestWriter_KeepsItsFirstError(t *testing.T) {
	broken := errors.New("disk full")
	w := NewWriter(failing{broken}, Version)
	if err := w.Section(Header, 0, []byte("x")); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	if _, err := w.Close(); !errors.Is(err, broken) {
		t.Errorf("at the end: error %v, want %v", err, broken)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func FuzzReader(f *testing.F) {
	data, _ := fileOf(f, someSections())
	f.Add(data)
	f.Add(data[:20])
	f.Fuzz(func(t *testing.T, data []byte) {
		sections, err := readFile(data)
		if err != nil {
			return
		}
		// Compressed differently it may be, but not summed.
		_, sum := fileOf(t, sections)
		if !bytes.HasSuffix(data, sum[:]) {
			t.Errorf("accepted with a sum that is not that of its sections")
		}
	})
}

const goldenSum = "fe6d42c5f85cc6eb16ba6da01c384dd1214df38beb0e80393afbe591e230f063"
