package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
)

const (
	minSecret = 16      // as node.Config.Secret
	maxSecret = 1 << 16 // a secret file is short; /dev/zero is not one
)

const secretUsage = "file with the cluster's secret: at least 16 bytes, the same on every server"

// readSecret reads --secret-file; no path is no secret. One trailing newline is
// what an editor or echo adds, and no part of the secret.
func readSecret(path string, stderr io.Writer) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read --secret-file: %w", err)
	}
	defer f.Close()
	warnReadable(f, stderr)
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, fmt.Errorf("read --secret-file: %w", err)
	}
	if len(b) > maxSecret {
		return nil, wrongUsage("--secret-file %s has more than %d bytes; is it the right file?", path, maxSecret)
	}
	if line, ok := bytes.CutSuffix(b, []byte("\n")); ok {
		b = bytes.TrimSuffix(line, []byte("\r"))
	}
	if len(b) < minSecret {
		return nil, wrongUsage("--secret-file %s has %d bytes; at least %d are needed (try: head -c 32 /dev/urandom | base64 >%s)", path, len(b), minSecret, path)
	}
	return b, nil
}

// warnReadable tells if everybody on this machine can take the secret.
func warnReadable(f *os.File, stderr io.Writer) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || runtime.GOOS == "windows" { // its mode bits say nothing
		return
	}
	if info.Mode().Perm()&0o007 != 0 {
		fmt.Fprintf(stderr, "globalchannel: warning: %s is open to every user of this machine, and whoever has it controls the cluster (try: chmod 600 %s)\n", f.Name(), f.Name())
	}
}
