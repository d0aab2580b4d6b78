package main

import "testing"

func TestSettings_ShowsAndChanges(t *testing.T) {
	t.Parallel()
	agent, addr := startAgent(t, "agent-1", "agent", "--max-voters", "3", "--max-servers", "7")
	agent.stdout.await(t, "ready: ", 1)
	wantParts(t, invoke(t, "settings", "--addr", addr).stdout, "reap-after          10s", "max-voters          3", "external-sids       false")
	var r result
	eventually(t, "the settings are changed", func() bool { // the level that has them comes a moment after the founding
		r = invoke(t, "settings", "--addr", addr, "--set", "reap-after=30s", "--set", "external-sids=true", "--set", "max-members=1000", "-o", "json")
		return r.code == exitOK
	})
	want := `{"reap_after_ms":30000,"forget_after_ms":600000,"remove_after_ms":3600000,"max_voters":3,"max_message_bytes":1048576,"max_members":1000,"max_channels":0,"max_servers":7,"external_sids":true}` + "\n"
	if r.stdout != want {
		t.Errorf("%q, want %q", r.stdout, want)
	}
	if again := invoke(t, "settings", "--addr", addr, "-o", "json"); again.stdout != want {
		t.Errorf("%q, want %q", again.stdout, want)
	}
	for args, part := range map[string]string{
		"reap-after":       "is not NAME=VALUE",
		"reap-after=soon":  "reap-after=soon",
		"max-voters=three": "max-voters=three",
		"colour=red":       "there are reap-after, forget-after",
		"max-voters=99":    "1 to 9 are allowed",
		"max-channels=-1":  "leave it 0 for no limit",
	} {
		r := invoke(t, "settings", "--addr", addr, "--set", args)
		wantCode(t, r, exitUsage)
		wantParts(t, r.stderr, part)
	}
}
