package jepsen_test

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
)

// Every flag may come from the environment, and a flag goes before it.
func environmentVariables(r *run) {
	at := r.cluster.Servers[1]
	env := []string{"GLOBALCHANNEL_ADDR=" + at.Addr, "GLOBALCHANNEL_SECRET_FILE=" + r.cluster.SecretFlag()[1], "GLOBALCHANNEL_OUTPUT=json"}
	status := decode[map[string]any](r.t, r.raw(env, "status").Stdout)
	r.want(any(at.SID), status["id"], "asked with variables only")

	other := r.cluster.Servers[2]
	status = decode[map[string]any](r.t, r.raw(env, "status", "--addr", other.Addr).Stdout)
	r.want(any(other.SID), status["id"], "a flag goes before its variable")
	if table := r.raw(env, "status", "-o", "table").Stdout; !strings.HasPrefix(table, "FIELD") {
		r.t.Errorf("-o table with GLOBALCHANNEL_OUTPUT=json printed:\n%s", table)
	}
	r.wantFailure(r.raw([]string{"GLOBALCHANNEL_TIMEOUT=soon"}, "status"), 2, "GLOBALCHANNEL_TIMEOUT")
}

// What the user typed wrong is exit code 2, before anything was done.
func wrongUsage(r *run) {
	long := strings.Repeat("x", 256)
	for _, tt := range []struct {
		words string
		args  []string
	}{
		{"usage:", []string{"nonsense"}},
		{"missing SID", []string{"add", "lobby", "alice"}},
		{"unexpected argument", []string{"members", "lobby", "more"}},
		{"--nonsense", []string{"status", "--nonsense"}},
		{"table or json", []string{"status", "-o", "yaml"}},
		{"exclude each other", []string{"members", "lobby", "--sid", "a", "--type", "b"}},
		{"--route", []string{"push", "lobby", "--type", stype, "--msg", "x"}},
		{"--type", []string{"listen", "--id", "a"}},
		{"exclude each other", []string{"destroy", "lobby", "--all"}},
		{"name", []string{"add", long, "alice", "connector-1"}},
		{"uid", []string{"add", "lobby", "", "connector-1"}},
		{"sid", []string{"leave", "lobby", "alice", long[:65]}},
	} {
		r.wantFailure(r.try(r.cluster.Servers[0], tt.args...), 2, tt.words)
	}
	r.wantFailure(r.raw(nil, "status", "--addr", "nowhere"), 2, "--addr")
	r.wantFailure(r.raw(nil, "agent", "--id", "a", "--type", "b"), 2, "--data")
	r.wantFailure(r.raw(nil, "agent", "--id", "a", "--type", "b", "--data", filepath.Join(r.dir, "open"), "--listen", "0.0.0.0:0", "--advertise", "127.0.0.1:1"), 2, "--secret-file")
	r.wantFailure(r.raw(nil), 2, "Usage")
}

// What went wrong otherwise is exit code 1, and says what to do next.
func failures(r *run) {
	at := r.cluster.Servers[0]
	r.wantFailure(r.try(at, "add", "lobby", "connector-1", "alice"), 1, "unknown server", "the order is NAME UID SID", "registered are connector-1, connector-2, connector-3")
	nobody := r.raw(nil, "status", "--addr", "127.0.0.1:1")
	r.wantFailure(nobody, 1, "no server answers at 127.0.0.1:1", "start one: globalchannel agent")

	agent := func(sid, dir string) harness.Result {
		return r.raw(nil, append([]string{"agent", "--id", sid, "--type", stype, "--data", dir, "--listen", "127.0.0.1:0"}, r.cluster.SecretFlag()...)...)
	}
	r.wantFailure(agent(at.SID, at.Dir), 1, "in use by another process")
	r.wantFailure(agent("x", filepath.Join(r.dir, "no", "parent")), 1, "its parent does not exist")
}

// With a secret nobody gets in without it, neither clients nor servers.
func secrets(r *run) {
	at := r.cluster.Servers[2]
	wrong := filepath.Join(r.dir, "wrong-secret")
	r.must(os.WriteFile(wrong, []byte("another secret of enough bytes"), 0o600))
	r.wantFailure(r.raw(nil, "status", "--addr", at.Addr), 1, "--secret-file FILE")
	r.wantFailure(r.raw(nil, "members", "lobby", "--addr", at.Addr, "--secret-file", wrong), 1, "must hold the same bytes")
	short := filepath.Join(r.dir, "short-secret")
	r.must(os.WriteFile(short, []byte("short\n"), 0o600))
	r.wantFailure(r.raw(nil, "status", "--addr", at.Addr, "--secret-file", short), 2, "at least 16")
	r.wantFailure(r.raw(nil, "status", "--addr", at.Addr, "--secret-file", filepath.Join(r.dir, "missing")), 1, "--secret-file")

	stranger, err := binary().Start(nil, "agent", "--id", "stranger", "--type", stype, "--data", filepath.Join(r.dir, "stranger"),
		"--listen", "127.0.0.1:0", "--join", at.Addr, "--secret-file", wrong)
	r.must(err)
	defer stranger.Kill()
	// It says by itself that it gets nowhere; meanwhile it is nobody's member.
	_, _, err = stranger.Stderr.Wait(r.ctx, 0, func(line string) bool { return strings.Contains(line, "not ready yet: ") })
	r.must(err)
	if _, there := r.servers(at)["stranger"]; there {
		r.t.Error("a server with another secret is registered")
	}
	code, err := stranger.Terminate(r.ctx)
	r.must(err)
	r.want(0, code, "exit code of a server that never got in, after SIGTERM")
}
