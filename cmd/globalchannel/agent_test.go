package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// startAgent runs an agent on a free port and waits until it is bound.
func startAgent(t *testing.T, sid, stype string, more ...string) (r *running, addr string) {
	t.Helper()
	args := []string{"agent", "--id", sid, "--type", stype, "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--log-level", "warn"}
	r = launch(t, append(args, more...)...)
	return r, boundAt(t, r)
}

func boundAt(t *testing.T, r *running) string {
	t.Helper()
	text := r.stdout.await(t, "pid ", 1)
	m := regexp.MustCompile(`bound at (\S+), pid \d+`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no address in %q", text)
	}
	return m[1]
}

// ask runs a client command that must succeed and decodes its JSON.
func ask[T any](t *testing.T, addr string, args ...string) T {
	t.Helper()
	r := invoke(t, append(args, "--addr", addr, "-o", "json", "--timeout", "30s")...)
	wantCode(t, r, exitOK)
	var v T
	if err := json.Unmarshal([]byte(r.stdout), &v); err != nil {
		t.Fatalf("%v printed %q: %v", args, r.stdout, err)
	}
	return v
}

type indexJSON struct{ Index uint64 }

// eventually repeats question until its answer is good, for what changes by
// itself: there is nothing to wait on from outside of a process.
func eventually(t *testing.T, what string, good func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !good() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: did not come true", what)
		}
	}
}

func TestAgent_EveryCommandOnOneServer(t *testing.T) {
	t.Parallel()
	agent, addr := startAgent(t, "agent-1", "agent")
	agent.stdout.await(t, "agent-1 ready: cluster ", 1)

	listen := launch(t, listenArgs(addr, "--offline", "bob")...)
	listen.stderr.await(t, "is attached", 1)
	servers := ask[serversJSON](t, addr, "servers").Servers
	if len(servers) != 2 || servers[0].ID != "agent-1" || !servers[0].Leader || servers[1].ID != "connector-2" || servers[1].Via != "agent-1" {
		t.Errorf("servers: %+v, want agent-1, leading, and connector-2 via it", servers)
	}
	for _, uid := range []string{"bob", "alice"} {
		ask[indexJSON](t, addr, "add", "room", uid, "connector-2")
	}
	index := ask[indexJSON](t, addr, "add", "room", "carol", "agent-1").Index
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"members", "room", "--min-index", fmt.Sprint(index)}, []string{"alice", "bob", "carol"}},
		{[]string{"members", "room", "--type", "connector"}, []string{"alice", "bob"}},
		{[]string{"members", "room", "--sid", "agent-1"}, []string{"carol"}},
		{[]string{"members", "room", "--type", "none"}, []string{}},
		{[]string{"members", "hall", "--stale"}, []string{}},
		{[]string{"members", "room", "--linearizable"}, []string{"alice", "bob", "carol"}},
		{[]string{"members", "room", "--max-staleness", "2s"}, []string{"alice", "bob", "carol"}},
	} {
		if diff := cmp.Diff(tt.want, ask[[]string](t, addr, tt.args...)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.args, diff)
		}
	}
	questions(t, addr)
	pushArrives(t, addr, listen)
	refusals(t, addr)

	ask[indexJSON](t, addr, "leave", "room", "alice", "connector-2")
	if got := ask[[]string](t, addr, "members", "room"); !slices.Equal(got, []string{"bob", "carol"}) {
		t.Errorf("after leave: %q", got)
	}
	ask[indexJSON](t, addr, "destroy", "room")
	ask[indexJSON](t, addr, "add", "hall", "carol", "agent-1")
	ask[indexJSON](t, addr, "destroy", "--all")
	for _, name := range []string{"room", "hall"} {
		if got := ask[[]string](t, addr, "members", name); len(got) != 0 {
			t.Errorf("%s after destroy: %q", name, got)
		}
	}

	ask[indexJSON](t, addr, "add", "room", "alice", "connector-2")
	if code := listen.stop(t); code != exitOK {
		t.Errorf("listen: exit code %d, want 0; stderr:\n%s", code, listen.stderr)
	}
	// The agent commits the life's end after the stream has ended.
	eventually(t, "the members of the frontend are gone", func() bool { return len(ask[[]string](t, addr, "members", "room")) == 0 })
	// Measured anew for the question, which does not wait long for it.
	eventually(t, "an age of at most 1 s", func() bool {
		s := ask[statusJSON](t, addr, "status")
		return s.AgeMS != nil && *s.AgeMS <= 1000
	})
	s := ask[statusJSON](t, addr, "status", "--hash")
	if s.ID != "agent-1" || s.Role != "voter" || s.Leader != "agent-1" || !s.Ready || s.ClusterID == "" || s.StateHash == "" || s.Problem != "" {
		t.Errorf("status: %+v", s)
	}
	if code := agent.stop(t); code != exitOK {
		t.Errorf("agent: exit code %d, want 0; stderr:\n%s", code, agent.stderr)
	}
}

// pushArrives pushes to alice, and to bob who is offline.
func pushArrives(t *testing.T, addr string, listen *running) {
	t.Helper()
	report := ask[pushJSON](t, addr, "push", "room", "--type", "connector", "--route", "chat", "--msg", "hi")
	for i := range report.Servers {
		report.Servers[i].LatencyMS = 0
	}
	want := pushJSON{Failed: []string{"bob"}, Undelivered: []string{"bob"}, Servers: []reportJSON{
		{ID: "connector-2", Outcome: "delivered", Members: 2, Failed: []string{"bob"}},
	}}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Errorf("push (-want +got):\n%s", diff)
	}
	line := pushLine{}
	if err := json.Unmarshal([]byte(listen.stdout.await(t, "\n", 1)), &line); err != nil {
		t.Fatal(err)
	}
	slices.Sort(line.UIDs)
	if line.Msg == nil || *line.Msg != "hi" || line.Route != "chat" || line.Channel != "room" || !slices.Equal(line.UIDs, []string{"alice", "bob"}) {
		t.Errorf("listen printed %+v", line)
	}
}

// refusals are what goes wrong on that server, and what the user is told to do.
func refusals(t *testing.T, addr string) {
	t.Helper()
	r := invoke(t, "push", "room", "--type", "agent", "--route", "chat", "--msg", "hi", "--addr", addr)
	wantCode(t, r, exitFailure)
	if want := "1 member, 0 delivered: agent-1 has no push handler (try: globalchannel listen --id agent-2 --type agent --addr " + addr + ")\n"; r.stderr != want {
		t.Errorf("push: %q, want %q", r.stderr, want)
	}
	r = invoke(t, "add", "room", "connector-2", "alice", "--addr", addr)
	wantCode(t, r, exitFailure)
	wantParts(t, r.stderr, "registered are agent-1, connector-2", "NAME UID SID")
	r = invoke(t, "add", strings.Repeat("x", 256), "alice", "connector-2", "--addr", addr)
	wantCode(t, r, exitUsage)
	wantParts(t, r.stderr, "name", "255")
}

func TestAgent_ThreeFormACluster(t *testing.T) {
	t.Parallel()
	// Nobody listens at port 1; the first one is found by the others.
	first, addr := startAgent(t, "a", "agent", "--expect", "3", "--join", "127.0.0.1:1")
	first.stderr.await(t, "not ready yet: ", 1)
	agents := []*running{first}
	addrs := []string{addr}
	for _, sid := range []string{"b", "c"} {
		r, other := startAgent(t, sid, "agent", "--expect", "3", "--join", addr)
		agents, addrs = append(agents, r), append(addrs, other)
	}
	for i, r := range agents {
		r.stdout.await(t, string(rune('a'+i))+" ready: cluster ", 1)
	}
	clusters := map[string]bool{}
	for _, addr := range addrs {
		clusters[ask[statusJSON](t, addr, "status").ClusterID] = true
	}
	if len(clusters) != 1 {
		t.Errorf("clusters %v, want one", clusters)
	}
	// A write at one, and its index, give the read at another.
	index := ask[indexJSON](t, addrs[1], "add", "room", "alice", "c").Index
	for _, addr := range addrs {
		if got := ask[[]string](t, addr, "members", "room", "--min-index", fmt.Sprint(index)); !slices.Equal(got, []string{"alice"}) {
			t.Errorf("%s: members %q, want alice", addr, got)
		}
	}
	listen := launch(t, listenArgs(addrs[0])...)
	listen.stderr.await(t, "is attached", 1)
	index = ask[indexJSON](t, addrs[2], "add", "room", "bob", "connector-2").Index
	report := ask[pushJSON](t, addrs[1], "push", "room", "--type", "connector", "--route", "r", "--msg", "m", "--min-index", fmt.Sprint(index))
	if len(report.Servers) != 1 || report.Servers[0].Outcome != "delivered" {
		t.Errorf("push through another agent: %+v", report)
	}
	listen.stdout.await(t, `"uids":["bob"]`, 1)

	// The agent of the frontend goes; its goodbye takes both lives.
	if code := agents[0].stop(t); code != exitOK {
		t.Errorf("exit code %d, want 0; stderr:\n%s", code, agents[0].stderr)
	}
	eventually(t, "the agent and its frontend are gone", func() bool { return len(ask[serversJSON](t, addrs[1], "servers").Servers) == 2 })
	listen.stderr.await(t, "connector-2 is detached", 1)
}

func TestAgent_TakenSIDIsRefused(t *testing.T) {
	t.Parallel()
	first, addr := startAgent(t, "a", "agent")
	first.stdout.await(t, "a ready: ", 1)
	second, _ := startAgent(t, "a", "agent", "--join", addr)
	if code := second.wait(t); code != exitFailure {
		t.Errorf("exit code %d, want 1", code)
	}
	wantParts(t, second.stderr.String(), "globalchannel: ", "refused", "in use")

	third, _ := startAgent(t, "b", "agent", "--join", addr)
	third.stdout.await(t, "b ready: ", 1)
	r := invoke(t, "listen", "--id", "b", "--type", "agent", "--addr", addr)
	wantCode(t, r, exitFailure)
	wantParts(t, r.stderr, "in use")
}

func TestAgent_DataDirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	args := func(sid string) []string {
		return []string{"agent", "--id", sid, "--type", "agent", "--data", dir, "--listen", "127.0.0.1:0"}
	}
	first := launch(t, args("a")...)
	boundAt(t, first)
	r := invoke(t, args("a")...)
	wantCode(t, r, exitFailure)
	wantParts(t, r.stderr, dir)
}

func TestAgent_SecretIsNeededByClients(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, secret string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	right, wrong := file("right", "correct horse battery staple\n"), file("wrong", "incorrect horse battery staple\n")
	agent, addr := startAgent(t, "agent-1", "agent", "--secret-file", right)
	agent.stdout.await(t, "ready: ", 1)
	_, plain := startAgent(t, "agent-2", "agent")

	wantCode(t, invoke(t, "status", "--addr", addr, "--secret-file", right), exitOK)
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"--addr", addr}, "--secret-file FILE"},
		{[]string{"--addr", addr, "--secret-file", wrong}, wrong + " must hold the same bytes as on the servers"},
		{[]string{"--addr", plain, "--secret-file", right}, "if the cluster has no secret, leave --secret-file out"},
	}
	for _, tt := range tests {
		for _, command := range [][]string{{"status"}, {"listen", "--id", "x", "--type", "y"}} {
			r := invoke(t, append(command, tt.args...)...)
			wantCode(t, r, exitFailure)
			wantParts(t, r.stderr, tt.want)
		}
	}
}
