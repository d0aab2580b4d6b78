package main

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fetch is what curl sees.
func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(body)
}

func TestAgent_ServesProbesAndMetricsOverHTTP(t *testing.T) {
	t.Parallel()
	agent, r := program(t, "agent", "--id", "agent-1", "--type", "agent", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
	m := regexp.MustCompile(`serves (http://\S+)/healthz`).FindStringSubmatch(r.stdout.await(t, "/metrics\n", 1))
	if m == nil {
		t.Fatalf("no address in %q", r.stdout)
	}
	if code, body := fetch(t, m[1]+"/healthz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("healthz: %d %q", code, body)
	}
	r.stdout.await(t, "agent-1 ready: ", 1)
	eventually(t, "readyz says ok", func() bool { code, body := fetch(t, m[1]+"/readyz"); return code == http.StatusOK && body == "ok\n" })
	ask[indexJSON](t, boundAt(t, r), "add", "room", "alice", "agent-1")
	if code, body := fetch(t, m[1]+"/metrics"); code != http.StatusOK || !strings.Contains(body, `globalchannel_writes_total{result="acknowledged"} 1`) {
		t.Errorf("metrics: %d %s", code, body)
	}
	signalTo(t, agent, syscall.SIGTERM)
	if code := r.wait(t); code != exitOK {
		t.Errorf("exit code %d; stderr:\n%s", code, r.stderr)
	}
	if code, body := fetch(t, m[1]+"/healthz"); code != 0 {
		t.Errorf("after its end: %d %q", code, body)
	}
}

func TestAgent_AnHTTPAddressThatIsTakenEndsIt(t *testing.T) {
	_, addr := startAgent(t, "a", "agent")
	r := launch(t, "agent", "--id", "b", "--type", "agent", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--http", addr)
	if code := r.wait(t); code != exitFailure {
		t.Errorf("exit code %d, want 1", code)
	}
	wantParts(t, r.stderr.String(), "--http "+addr, "address already in use")
}
