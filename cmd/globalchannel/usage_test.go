package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

func TestRun_WrongUsageIsTwo(t *testing.T) {
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, []byte("too short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	tests := []struct {
		name string
		args string
		want string
	}{
		{"no command", "", "Available Commands"},
		{"unknown command", "ad room", `unknown command "ad"`},
		{"unknown flag", "status --colour", "--colour"},
		{"missing argument", "add room alice", "missing SID"},
		{"argument too many", "leave room alice connector-1 x", `unexpected argument "x"`},
		{"invalid format", "status -o xml", "table or json"},
		{"invalid number", "members room --min-index -1", "min-index"},
		{"invalid address", "status --addr nowhere", "--addr"},
		{"port 0", "status --addr 127.0.0.1:0", "--addr"},
		{"invalid timeout", "status --timeout 0s", "--timeout"},
		{"contradiction", "members room --sid a --type b", "exclude each other"},
		{"contradicting freshness", "members room --stale --linearizable", "--stale and --linearizable exclude each other"},
		{"no staleness", "members room --max-staleness 0s", "give 1ms or more"},
		{"too little staleness", "members room --max-staleness 999us", "give 1ms or more"},
		{"negative staleness", "members room --max-staleness -1s", "give 1ms or more"},
		{"missing flags", "push room --type connector", "GLOBALCHANNEL_ROUTE"},
		{"leave all without a player", "leave --all", "missing UID"},
		{"leave both", "leave room alice connector-1 --all", "exclude each other"},
		{"destroy nothing", "destroy", "missing NAME (or --all)"},
		{"destroy both", "destroy room --all", "exclude each other"},
		{"listen without id", "listen --type connector", "--id"},
		{"agent without flags", "agent", "--data"},
		{"agent with wildcard", "agent --id a --type b --data " + data + " --listen 0.0.0.0:7400", "--advertise must be set when --listen"},
		{"agent off loopback", "agent --id a --type b --data " + data + " --listen 192.0.2.1:7400", "set --secret-file (the same bytes on every server), or --insecure"},
		{"agent with too many founders", "agent --id a --type b --data " + data + " --expect 9 --join 127.0.0.1:1", "--expect is 9"},
		{"agent with log level", "agent --id a --type b --data " + data + " --log-level loud", "--log-level"},
		{"agent with log store", "agent --id a --type b --data " + data + " --log-store paper", "boltdb or wal is allowed"},
		{"short secret", "status --secret-file " + short, "9 bytes; at least 16"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := invoke(t, strings.Fields(tt.args)...)
			wantCode(t, r, exitUsage)
			wantParts(t, r.stderr, tt.want)
			if r.stdout != "" {
				t.Errorf("diagnostics on stdout: %s", r.stdout)
			}
		})
	}
}

func TestRun_HelpIsNoError(t *testing.T) {
	for _, args := range []string{"--help", "push --help", "help members"} {
		r := invoke(t, strings.Fields(args)...)
		wantCode(t, r, exitOK)
		wantParts(t, r.stdout, "Usage:")
	}
}

func TestRun_MissingSecretFileIsAFailure(t *testing.T) {
	r := invoke(t, "status", "--secret-file", filepath.Join(t.TempDir(), "none"))
	wantCode(t, r, exitFailure)
	wantParts(t, r.stderr, "--secret-file", "no such file")
}

func TestEnvironment_FlagThenEnvironmentThenDefault(t *testing.T) {
	f := &fake{status: &pb.StatusResponse{Sid: "connector-1"}, members: [][]*pb.Member{{{Uid: "alice"}}}}
	env := map[string]string{
		"GLOBALCHANNEL_ADDR": startFake(t, f), "GLOBALCHANNEL_OUTPUT": "json", "GLOBALCHANNEL_TIMEOUT": "",
		"GLOBALCHANNEL_TYPE": "connector",
	}
	r := invokeEnv(t, env, "members", "room")
	wantCode(t, r, exitOK)
	if got, want := r.stdout, "[\"alice\"]\n"; got != want {
		t.Errorf("output %q, want %q", got, want)
	}
	if got := f.last(t).(*pb.MembersRequest).Stype; got != "connector" {
		t.Errorf("asked for type %q, want the environment's", got)
	}
	r = invokeEnv(t, env, "members", "room", "--sid", "connector-1", "-o", "table")
	wantCode(t, r, exitOK)
	wantParts(t, r.stdout, "UID", "alice")
	if got := f.last(t).(*pb.MembersRequest); got.Stype != "" || got.Sid != "connector-1" {
		t.Errorf("asked for %v, want the flag to go before the environment", got)
	}
	env["GLOBALCHANNEL_MAX_STALENESS"] = "1500ms"
	wantCode(t, invokeEnv(t, env, "members", "room"), exitOK)
	if got := f.last(t).(*pb.MembersRequest); got.MaxStalenessMs != 1500 || got.Linearizable {
		t.Errorf("asked for %v, want the environment's staleness", got)
	}
	wantCode(t, invokeEnv(t, env, "members", "room", "--linearizable"), exitOK)
	if got := f.last(t).(*pb.MembersRequest); !got.Linearizable || got.MaxStalenessMs != 0 {
		t.Errorf("asked for %v, want the flag to go before the environment", got)
	}
	env["GLOBALCHANNEL_STALE"] = "true"
	wantCode(t, invokeEnv(t, env, "members", "room"), exitUsage)
	wantCode(t, invokeEnv(t, map[string]string{"GLOBALCHANNEL_TIMEOUT": "soon"}, "status"), exitUsage)
}

func TestEnvironment_NamesEveryFlag(t *testing.T) {
	if got, want := envName("secret-file"), "GLOBALCHANNEL_SECRET_FILE"; got != want {
		t.Errorf("envName: %s, want %s", got, want)
	}
	dir := t.TempDir()
	r := invokeEnv(t, map[string]string{
		"GLOBALCHANNEL_ID": "a", "GLOBALCHANNEL_TYPE": "b", "GLOBALCHANNEL_DATA": dir, "GLOBALCHANNEL_EXPECT": "3",
		"GLOBALCHANNEL_NON_VOTER": "true", "GLOBALCHANNEL_JOIN": "127.0.0.1:1,127.0.0.1:2",
	}, "agent")
	wantCode(t, r, exitUsage)
	wantParts(t, r.stderr, "--non-voter is set on a founding server (--expect 3)")
}

// A directory of the other kind is refused: the flag and its variable have arrived.
func TestAgent_LogStoreComesFromFlagOrEnvironment(t *testing.T) {
	for _, tt := range []struct{ has, asked, flag, env, want string }{
		{"boltdb", "wal", "wal", "", "--log-store boltdb"},
		{"boltdb", "wal", "", "wal", "--log-store boltdb"},
		{"wal", "boltdb", "", "", "--log-store wal"},
		{"wal", "boltdb", "boltdb", "wal", "--log-store wal"},
	} {
		dir := t.TempDir()
		identity := `{"format":2,"sid":"a","log_store":"` + tt.has + `","node_id":"3b241101-e2bb-4255-8caf-4136c566a962"}`
		if err := os.WriteFile(filepath.Join(dir, "node.json"), []byte(identity), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"agent", "--id", "a", "--type", "b", "--data", dir, "--listen", "127.0.0.1:0"}
		if tt.flag != "" {
			args = append(args, "--log-store", tt.flag)
		}
		r := invokeEnv(t, map[string]string{"GLOBALCHANNEL_LOG_STORE": tt.env}, args...)
		wantCode(t, r, exitFailure)
		wantParts(t, r.stderr, "has its log in "+tt.has+", not in "+tt.asked, tt.want, "delete all of the directory")
	}
}

func TestSecret_OneNewlineIsTheEditors(t *testing.T) {
	tests := []struct{ file, want string }{
		{"0123456789abcdef\n", "0123456789abcdef"},
		{"0123456789abcdef\r\n", "0123456789abcdef"},
		{"0123456789abcdef", "0123456789abcdef"},
		{"0123456789abcdef\n\n", "0123456789abcdef\n"},
	}
	path := filepath.Join(t.TempDir(), "secret")
	for _, tt := range tests {
		if err := os.WriteFile(path, []byte(tt.file), 0o600); err != nil {
			t.Fatal(err)
		}
		stderr := newScreen()
		got, err := readSecret(path, stderr)
		if err != nil || string(got) != tt.want || stderr.String() != "" {
			t.Errorf("%q: got %q, %v and %q; want %q", tt.file, got, err, stderr, tt.want)
		}
	}
}

func TestSecret_OpenToOthersIsWarned(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	stderr := newScreen()
	if _, err := readSecret(path, stderr); err != nil {
		t.Fatal(err)
	}
	wantParts(t, stderr.String(), "warning", "chmod 600")
}
