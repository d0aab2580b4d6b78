package demo

import (
	"net"
	"os"
	"testing"
)

func TestStage_SecretIsPrivateAndAddressesAreFree(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s, err := newStage(8)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(s.secretFile)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("secret file: mode %v, error %v; want 0600", info.Mode(), err)
	}
	seen := make(map[string]bool)
	for _, addr := range s.addrs {
		if seen[addr] {
			t.Errorf("%s is given twice", addr)
		}
		seen[addr] = true
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Errorf("address is not free: %v", err)
			continue
		}
		_ = l.Close()
	}
	if len(seen) != 8 {
		t.Errorf("%d addresses, want 8", len(seen))
	}
	if err := s.remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}
