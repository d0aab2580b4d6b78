package fleet

import "testing"

func TestFreeAddresses_AreDifferent(t *testing.T) {
	const n = 50
	addrs, err := freeAddresses(n)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, a := range addrs {
		seen[a] = true
	}
	if len(seen) != n {
		t.Errorf("got %d different addresses, want %d", len(seen), n)
	}
}
