package demo

import (
	"os"
	"path/filepath"
	"testing"
)

func TestInvocation_CanBePasted(t *testing.T) {
	dir := t.TempDir()
	exe := filepath.Join(dir, "globalchannel")
	if err := os.WriteFile(exe, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", "")
	if got := invocation(exe); got != exe {
		t.Errorf("not in PATH: %q, want %q", got, exe)
	}
	if got, want := invocation("/opt/my tools/it's"), `'/opt/my tools/it'\''s'`; got != want {
		t.Errorf("with blanks: %s, want %s", got, want)
	}
	t.Setenv("PATH", dir)
	if got := invocation(exe); got != "globalchannel" {
		t.Errorf("in PATH: %q, want the bare name", got)
	}
	if got := invocation("/tmp/go-build123/b001/exe/globalchannel"); got != "go run ./cmd/globalchannel" {
		t.Errorf("under go run: %q", got)
	}
}
