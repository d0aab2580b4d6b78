package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// agentFlags are the flags of an agent after a command line, an environment and a file.
func agentFlags(t *testing.T, text string, env map[string]string, args ...string) map[string]string {
	t.Helper()
	flags := newAgent().Flags()
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	if err := applyEnvironment(flags, fakeEnv(env)); err != nil {
		t.Fatal(err)
	}
	if err := applyConfigFile(flags, configFile(t, text), fakeEnv(env)); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	flags.VisitAll(func(f *pflag.Flag) {
		if v := f.Value.String(); v != f.DefValue {
			got[f.Name] = v
		}
	})
	return got
}

func TestConfigFile_FlagThenEnvironmentThenFile(t *testing.T) {
	text := "id: 007\ntype: agent\nexpect: 3\njoin: [a:1, b:2]\nreap-after: 20s\nnon-voter: true\nzone: x\nlog-store: wal\n"
	tests := map[string]struct {
		env  map[string]string
		args []string
		want map[string]string // of what differs
	}{
		"the file alone": {},
		"a flag":         {args: []string{"--expect", "5", "--zone", "y"}, want: map[string]string{"expect": "5", "zone": "y"}},
		"the environment": {env: map[string]string{"GLOBALCHANNEL_REAP_AFTER": "1m", "GLOBALCHANNEL_JOIN": "c:3"},
			want: map[string]string{"reap-after": "1m0s", "join": "[c:3]"}},
		"a list by flag": {args: []string{"--join", "d:4", "--join", "e:5"}, want: map[string]string{"join": "[d:4,e:5]"}},
		"all three": {args: []string{"--zone", "y"}, env: map[string]string{"GLOBALCHANNEL_ZONE": "z", "GLOBALCHANNEL_TYPE": "t"},
			want: map[string]string{"zone": "y", "type": "t"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := map[string]string{"id": "007", "type": "agent", "expect": "3", "join": "[a:1,b:2]",
				"reap-after": "20s", "non-voter": "true", "zone": "x", "log-store": "wal"}
			for k, v := range test.want {
				want[k] = v
			}
			if diff := cmp.Diff(want, agentFlags(t, text, test.env, test.args...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestConfigFile_EveryFlagHasAKey(t *testing.T) {
	newAgent().Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name == configFlag || f.Name == "help" {
			return
		}
		value := map[string]string{"bool": "true", "int": "3", "duration": "5s", "text": "wal"}[f.Value.Type()]
		if value == "" {
			value = "x"
		}
		if f.Name == "log-store" {
			value = "wal"
		}
		if got := agentFlags(t, f.Name+": "+value, nil); len(got) != 1 || got[f.Name] == "" {
			t.Errorf("%s: %s sets %v", f.Name, value, got)
		}
	})
}

func TestConfigFile_EmptyIsNothing(t *testing.T) {
	for _, text := range []string{"", "# only a comment\n", "---\n", "{}\n"} {
		if got := agentFlags(t, text, nil); len(got) != 0 {
			t.Errorf("%q sets %v", text, got)
		}
	}
}

func TestConfigFile_WhatIsWrongIsNamedWithItsLine(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"unknown key":      {"id: a\nreep-after: 1s\n", []string{":2: reep-after", "no such key", "reap-after"}},
		"wrong value":      {"id: a\n\nexpect: three\n", []string{":3: expect", `"three"`}},
		"wrong duration":   {"reap-after: 10\n", []string{":1: reap-after", "missing unit"}},
		"overruled":        {"zone: z\nmax-voters: many\n", []string{":2: max-voters"}},
		"twice":            {"id: a\ntype: b\nid: c\n", []string{":3: id", "already set in line 1"}},
		"a list for one":   {"id: [a, b]\n", []string{":1: id", "not a list"}},
		"a map":            {"join:\n  a: b\n", []string{":1: join", "plain value"}},
		"a list of lists":  {"join:\n  - [a]\n", []string{"line 2", "plain value"}},
		"no value":         {"id: a\njoin:\n", []string{":2: join", "no value"}},
		"itself":           {"config: x\n", []string{":1: config", "no such key"}},
		"a list at top":    {"- id\n", []string{":1:", "KEY: VALUE"}},
		"no yaml":          {"id: a\n\t: b: c\n", []string{"line 2"}},
		"two documents":    {"id: a\n---\nid: b\n", []string{"one document"}},
		"an alias":         {"id: &x a\ntype: *x\n", []string{":2: type"}},
		"a long key":       {strings.Repeat("k", 900) + ": 1\n", []string{"no such key"}},
		"a control in key": {"\"a\\eb\": 1\n", []string{`"a\x1bb"`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := configFile(t, test.text)
			r := invoke(t, "agent", "--config", path, "--max-voters", "5")
			wantCode(t, r, exitUsage)
			wantParts(t, r.stderr, append(test.want, "--config", path)...)
			if len(r.stderr) > 2000 {
				t.Errorf("%d bytes of words", len(r.stderr))
			}
		})
	}
	r := invoke(t, "agent", "--config", filepath.Join(t.TempDir(), "none"))
	wantCode(t, r, exitUsage)
	wantParts(t, r.stderr, "--config", "no such file")
}

func TestConfigFile_RunsAnAgent(t *testing.T) {
	t.Parallel()
	path := configFile(t, "id: from-file\ntype: agent\nlisten: 127.0.0.1:0\nlog-level: warn\ndata: "+t.TempDir()+"\nmax-voters: 3\n")
	r := launch(t, "agent", "--config", path, "--type", "by-flag")
	r.stdout.await(t, "from-file (by-flag) bound at ", 1)
	r.stdout.await(t, "from-file ready: ", 1)
	if code := r.stop(t); code != exitOK {
		t.Errorf("exit code %d, want 0; stderr:\n%s", code, r.stderr)
	}
}

func TestConfigFile_ErrorsOfTheNodeNameKeys(t *testing.T) {
	for text, want := range map[string]string{
		"max-voters: 10":                          "--max-voters is 10",
		"reap-after: -1s":                         "--reap-after, --forget-after or --remove-after has a negative duration",
		"reap-after: 1h":                          "--forget-after (10m0s) is below --reap-after (1h0m0s)",
		"max-message-bytes: 9999999":              "--max-message-bytes is 9999999",
		"join: [\"srv:\"]":                        "--join has srv:",
		"join: srv:a.example:7400":                "the ports are in its SRV records",
		"join: [a.example]":                       "--join \"a.example\" is not host:port",
		"expect: 3\nnon-voter: true\njoin: [a:1]": "--non-voter is set on a founding server",
	} {
		path := configFile(t, "id: a\ntype: b\ndata: "+t.TempDir()+"\n"+text+"\n")
		r := invoke(t, "agent", "--config", path)
		wantCode(t, r, exitUsage)
		wantParts(t, r.stderr, want)
	}
}

// The README's example is one that this program takes.
func TestConfigFile_ReadmeExample(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(readme)
	if block == nil {
		t.Fatal("README.md has no YAML block")
	}
	want := map[string]string{
		"id": "agent-1", "type": "agent", "data": "/var/lib/globalchannel", "listen": "0.0.0.0:7400", "advertise": "10.0.0.1:7400",
		"secret-file": "/etc/globalchannel/secret", "expect": "3", "reap-after": "10s", "zone": "rack-1",
		"join": "[srv:_raft._tcp.servers.example,file:/etc/globalchannel/servers,10.0.0.2:7400]",
	}
	if diff := cmp.Diff(want, agentFlags(t, string(block[1]), nil)); diff != "" {
		t.Error(diff)
	}
}

func FuzzApplyConfigFile(f *testing.F) {
	f.Add("id: a\njoin: [b, c]\n")
	f.Add("? [a]\n: b\n")
	f.Add("&a [*a]\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(dir, "fuzz.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_ = applyConfigFile(newAgent().Flags(), path, fakeEnv(nil)) // any error, but no panic
	})
}
