package jepsen_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
)

// Three servers with a secret, and every command of the binary as a user types
// it, each against another server than the last.
func TestBinary_EveryCommand(t *testing.T) {
	t.Parallel()
	r := start(t, connectors(3))
	for _, step := range []struct {
		name string
		do   func(*run)
	}{
		{"add, members, leave", addMembersLeave},
		{"destroy", destroy},
		{"push that nobody listens to", pushNobodyListens},
		{"push and its report", pushAndReport},
		{"push of bytes that are no text", pushBytes},
		{"listen says goodbye", listenSaysGoodbye},
		{"servers", serversCommand},
		{"status", statusCommand},
		{"environment", environmentVariables},
		{"wrong usage", wrongUsage},
		{"failures", failures},
		{"secret", secrets},
		{"agent says goodbye and comes back", agentSaysGoodbye},
	} {
		t.Run(step.name, func(t *testing.T) { step.do(r.in(t)) })
	}
}

// The demo is a command too; what it shows is checked by itself.
func TestBinary_Demo(t *testing.T) {
	t.Parallel()
	r := &run{t: t, ctx: t.Context()}
	began := time.Now()
	result := r.raw(nil, "demo", "--servers", "3", "--players", "60", "--duration", "6s")
	lines := strings.Split(strings.TrimSpace(result.Stdout), "\n")
	if last := lines[len(lines)-1]; result.Code != 0 || !strings.Contains(last, "0 lost, 0 ghosts") {
		t.Errorf("after %v the last line is %q, want 0 lost, 0 ghosts\n%v", time.Since(began), last, result)
	}
}

func addMembersLeave(r *run) {
	s := r.cluster.Servers
	r.write(s[0], "add", "lobby", "alice", "connector-1")
	r.write(s[1], "add", "lobby", "bob", "connector-2")
	index := r.write(s[2], "add", "lobby", "alice", "connector-3")
	fresh := []string{"--min-index", fmt.Sprint(index)}

	r.want([]string{"alice", "bob"}, r.members(s[1], "lobby", fresh...), "everybody")
	r.want([]string{"bob"}, r.members(s[2], "lobby", append(fresh, "--sid", "connector-2")...), "on connector-2")
	r.want([]string{"alice", "bob"}, r.members(s[0], "lobby", append(fresh, "--type", stype)...), "of the type")
	r.want([]string{}, r.members(s[0], "lobby", append(fresh, "--type", "chat")...), "of a type that nobody has")
	r.want([]string{}, r.members(s[0], "nowhere", append(fresh, "--sid", "nobody")...), "of nothing")

	r.want(`UID     SID
alice   connector-1
alice   connector-3
bob     connector-2
`, r.command(s[0], append(fresh, "members", "lobby")...).Stdout, "table")

	if again := r.command(s[0], "add", "lobby", "alice", "connector-1"); !strings.HasPrefix(again.Stdout, "alice on connector-1 is in lobby (index ") {
		r.t.Errorf("adding again: %v", again)
	}
	index = r.write(s[1], "leave", "lobby", "alice", "connector-1")
	r.write(s[2], "leave", "lobby", "nobody", "connector-1") // who is absent is no error
	r.want([]string{"alice", "bob"}, r.members(s[2], "lobby", "--min-index", fmt.Sprint(index)), "alice is still on connector-3")
}

func destroy(r *run) {
	s := r.cluster.Servers
	for i := range 3 {
		r.write(s[i], "add", "doomed", fmt.Sprintf("p%d", i), s[i].SID)
		r.write(s[i], "add", "doomed too", fmt.Sprintf("p%d", i), s[i].SID)
	}
	index := r.write(s[1], "destroy", "doomed")
	r.write(s[0], "destroy", "never was")
	fresh := []string{"--min-index", fmt.Sprint(index)}
	r.want([]string{}, r.members(s[2], "doomed", fresh...), "destroyed")
	r.want([]string{"p0", "p1", "p2"}, r.members(s[2], "doomed too", fresh...), "another channel")
	index = r.write(s[2], "destroy", "--all")
	for _, name := range []string{"doomed too", "lobby"} {
		r.want([]string{}, r.members(s[0], name, "--min-index", fmt.Sprint(index)), name+" after destroy --all")
	}
}

func serversCommand(r *run) {
	at := r.cluster.Servers[1]
	listener := r.listen(at, "frontend-of-servers")
	defer listener.end()
	var all map[string]serverLine
	r.eventually("four servers, of which one leads", func() error {
		all = r.servers(at)
		if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, []string{"connector-1", "connector-2", "connector-3", "frontend-of-servers"}) {
			return fmt.Errorf("registered are %q", got)
		}
		leaders := 0
		for _, s := range all {
			if s.Leader {
				leaders++
			}
		}
		if leaders != 1 { // none during an election
			return fmt.Errorf("%d leaders", leaders)
		}
		return nil
	})
	for id, s := range all {
		role, via := "voter", ""
		if id == "frontend-of-servers" {
			role, via = "attached", at.SID
		}
		if s.Role != role || s.Via != via || s.Type != stype || s.NodeID == "" || s.Epoch == 0 {
			r.t.Errorf("%s is %+v, want role %s via %q, a type, a node id and an epoch", id, s, role, via)
		}
	}
	r.want(all["frontend-of-servers"].NodeID, all[at.SID].NodeID, "node id of a frontend is its agent's")
	table := r.command(at, "servers").Stdout
	if lines := strings.Split(strings.TrimSpace(table), "\n"); len(lines) != 5 || !strings.HasPrefix(lines[0], "ID ") {
		r.t.Errorf("want a header and four lines, got:\n%s", table)
	}
}

func statusCommand(r *run) {
	statuses := make([]map[string]any, len(r.cluster.Servers))
	r.eventually("one cluster, one leader, and no problem", func() error { // not so during an election
		clusters, leaders, problems := make(map[any]bool), make(map[any]bool), make(map[any]bool)
		for i, s := range r.cluster.Servers {
			statuses[i] = decode[map[string]any](r.t, r.command(s, "status", "-o", "json").Stdout)
			clusters[statuses[i]["cluster_id"]], leaders[statuses[i]["leader"]], problems[statuses[i]["problem"]] = true, true, true
		}
		if len(clusters) != 1 || len(leaders) != 1 || clusters[""] || leaders[""] || len(problems) != 1 || !problems[""] {
			return fmt.Errorf("clusters %v, leaders %v, problems %v", clusters, leaders, problems)
		}
		return nil
	})
	for i, s := range r.cluster.Servers {
		status := statuses[i]
		keys := slices.Sorted(maps.Keys(status))
		r.want([]string{"age_ms", "applied", "cluster_id", "id", "leader", "level", "node_id", "problem", "ready", "role", "term", "type", "voters"}, keys, "keys")
		for key, want := range map[string]any{"id": s.SID, "type": stype, "role": "voter", "ready": true, "problem": "", "voters": float64(len(r.cluster.Servers))} {
			r.want(want, status[key], s.SID+": "+key)
		}
		// Unknown only until the leader has answered once: who asks again sees it.
		r.eventually("age of the replica of "+s.SID, func() error {
			again := decode[map[string]any](r.t, r.command(s, "status", "-o", "json").Stdout)
			if age, ok := again["age_ms"].(float64); !ok || age < 0 {
				return fmt.Errorf("age_ms is %v, want a number", again["age_ms"])
			}
			return nil
		})
	}
	hashed := decode[map[string]any](r.t, r.command(r.cluster.Servers[0], "status", "--hash", "-o", "json").Stdout)
	if hash, _ := hashed["state_hash"].(string); len(hash) != 64 {
		r.t.Errorf("state_hash is %v, want 64 hexadecimal digits", hashed["state_hash"])
	}
	if table := r.command(r.cluster.Servers[0], "status").Stdout; !strings.Contains(table, "connector-1") || !strings.Contains(table, "ready") {
		r.t.Errorf("the table lacks id or ready:\n%s", table)
	}
}

// A server that is asked to stop takes its players along at once, and comes back
// as the same node without any.
func agentSaysGoodbye(r *run) {
	leaving, staying := r.cluster.Servers[0], r.cluster.Servers[1]
	before := r.servers(staying)[leaving.SID]
	r.write(staying, "add", "farewell", "gone", leaving.SID)
	r.write(staying, "add", "farewell", "here", staying.SID)
	code, err := leaving.Terminate(r.ctx)
	r.must(err)
	r.want(0, code, "exit code after SIGTERM")
	r.eventually("the goodbye to be seen", func() error {
		if _, there := r.servers(staying)[leaving.SID]; there {
			return fmt.Errorf("%s is still registered", leaving.SID)
		}
		return nil
	})
	r.want([]string{"here"}, r.members(staying, "farewell"), "members after the goodbye")

	gone := r.try(staying, "add", "farewell", "late", leaving.SID)
	r.wantFailure(gone, 1, "server gone", "registered are connector-2, connector-3")

	r.must(r.cluster.Start(r.ctx, leaving))
	r.eventually("the same node with a later life", func() error {
		after := r.servers(leaving)[leaving.SID]
		if after.NodeID != before.NodeID || after.Epoch <= before.Epoch {
			return fmt.Errorf("came back as %+v, was %+v", after, before)
		}
		return nil
	})
	r.want([]string{"here"}, r.members(leaving, "farewell"), "members after the return")
}

func (r *run) want(want, got any, what string) {
	r.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// wantFailure demands the exit code and that stderr says all of the words.
func (r *run) wantFailure(got harness.Result, code int, words ...string) {
	r.t.Helper()
	for _, word := range words {
		if !strings.Contains(got.Stderr, word) {
			r.t.Errorf("stderr does not say %q: %v", word, got)
		}
	}
	if got.Code != code {
		r.t.Errorf("want exit code %d: %v", code, got)
	}
}
