// Package redistest starts a Redis for a test.
package redistest

import (
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/pofresh/globalchannel/transport/ports"
)

// Start starts one, where there is one to start; else the test is skipped.
func Start(t *testing.T) (addr string) {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("no redis-server on this machine")
	}
	addrs, err := ports.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	})
	var seen strings.Builder
	for buf := make([]byte, 4096); !strings.Contains(seen.String(), "eady to accept connections"); {
		n, err := out.Read(buf)
		if err != nil {
			t.Fatalf("Redis did not start: %v\n%s", err, &seen)
		}
		seen.Write(buf[:n])
	}
	return addrs[0]
}
