package meter

import (
	"runtime"
	"testing"
)

func TestReadMemory_SeesWhatIsAllocated(t *testing.T) {
	before, err := ReadMemory()
	if err != nil {
		t.Fatal(err)
	}
	const size = 64 << 20
	block := make([]byte, size)
	for i := 0; i < size; i += 4096 {
		block[i] = 1
	}
	after, err := ReadMemory()
	if err != nil {
		t.Fatal(err)
	}
	if got := after.Allocated - before.Allocated; got < size || got > 2*size {
		t.Errorf("allocated: got %d bytes, want about %d", got, size)
	}
	if after.Objects < size {
		t.Errorf("objects: got %d bytes, want %d at least", after.Objects, size)
	}
	if runtime.GOOS == "linux" && after.Resident < size {
		t.Errorf("resident: got %d bytes, want %d at least", after.Resident, size)
	}
	runtime.KeepAlive(block)
}
