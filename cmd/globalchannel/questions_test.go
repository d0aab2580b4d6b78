package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// questions asks an agent whose room has alice and bob on connector-2, a frontend that is
// attached to it, and carol on agent-1 itself.
func questions(t *testing.T, addr string) {
	t.Helper()
	ask[indexJSON](t, addr, "add", "hall", "carol", "agent-1")
	defer ask[indexJSON](t, addr, "destroy", "hall")
	type counted struct{ Count int }
	for want, args := range map[int][]string{
		3: {"count", "room"}, 2: {"count", "room", "--sid", "connector-2", "--linearizable"}, 0: {"count", "nowhere", "--stale"},
	} {
		if got := ask[counted](t, addr, args...).Count; got != want {
			t.Errorf("%v: %d, want %d", args, got, want)
		}
	}
	if r := invoke(t, "count", "room", "--addr", addr); r.stdout != "3\n" {
		t.Errorf("count printed %q", r.stdout)
	}
	for _, tt := range []struct {
		args []string
		want []stay
	}{
		{[]string{"where", "carol"}, []stay{{"agent-1", []string{"hall", "room"}}}},
		{[]string{"where", "alice", "--max-staleness", "2s"}, []stay{{"connector-2", []string{"room"}}}},
		{[]string{"where", "nobody"}, []stay{}},
	} {
		if diff := cmp.Diff(tt.want, ask[[]stay](t, addr, tt.args...)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.args, diff)
		}
	}
	wantParts(t, invoke(t, "where", "carol", "--addr", addr).stdout, "SERVER", "agent-1   hall", "agent-1   room")
	for _, tt := range []struct {
		args, want []string
	}{
		{[]string{"channels"}, []string{"hall", "room"}},
		{[]string{"channels", "--prefix", "ro"}, []string{"room"}},
		{[]string{"channels", "--after", "hall"}, []string{"room"}},
		{[]string{"channels", "--limit", "1"}, []string{"hall"}},
		{[]string{"channels", "--prefix", "x"}, []string{}},
	} {
		if diff := cmp.Diff(tt.want, ask[[]string](t, addr, tt.args...)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.args, diff)
		}
	}
	explanations(t, addr)
}

func explanations(t *testing.T, addr string) {
	t.Helper()
	e := ask[explained](t, addr, "explain", "room", "alice")
	if len(e.Places) != 1 || !e.Exists || e.Members != 3 || e.Changed == 0 || e.AgeMS == nil {
		t.Fatalf("explain alice: %+v", e)
	}
	if p := e.Places[0]; p.ID != "connector-2" || p.Type != "connector" || p.State != "up" || p.Via != "agent-1" || p.Addr != addr || !p.Answers || p.Problem != "" || p.Epoch == 0 || p.Added == 0 {
		t.Errorf("alice's place: %+v", p)
	}
	wantParts(t, invoke(t, "explain", "room", "alice", "--addr", addr).stdout, `"alice" is in "room" on 1 of its servers`, "PUSH-TO", "connector-2", "up", "yes")
	e = ask[explained](t, addr, "explain", "hall", "alice")
	if diff := cmp.Diff([]string{"connector-2"}, e.Elsewhere); diff != "" || len(e.Places) != 0 || !strings.Contains(e.Verdict, "is in other channels on connector-2") {
		t.Errorf("explain hall: %+v", e)
	}
	if e = ask[explained](t, addr, "explain", "nowhere", "alice"); e.Exists || !strings.Contains(e.Verdict, `there is no channel "nowhere"`) {
		t.Errorf("explain nowhere: %+v", e)
	}
	if e = ask[explained](t, addr, "explain", "room", "nobody"); !strings.Contains(e.Verdict, "nor in any other channel") {
		t.Errorf("explain nobody: %+v", e)
	}
}

func TestQuestions_WrongUsageIsRefused(t *testing.T) {
	for _, args := range []string{
		"count", "count a b", "where", "channels x", "explain room", "channels --limit -1", "count room --stale --linearizable",
	} {
		wantCode(t, invoke(t, append(strings.Fields(args), "--addr", "127.0.0.1:1")...), exitUsage)
	}
}
