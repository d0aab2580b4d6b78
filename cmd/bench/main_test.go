package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
	"github.com/pofresh/globalchannel/cmd/bench/internal/redistest"
)

// The test binary is also what the bench starts as its servers.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == proc.Command {
		os.Exit(run())
	}
	goleak.VerifyTestMain(m)
}

// One run of everything but Redis, so short that its figures mean nothing.
func TestWrites_EndToEnd(t *testing.T) {
	dir := t.TempDir()
	var out, log bytes.Buffer
	cmd := newCommand()
	cmd.SetOut(&out)
	cmd.SetErr(&log)
	cmd.SetArgs(strings.Fields("writes --raft -o json --outstanding 1,50 --runs 1 --duration 500ms --warm-up 20ms --kills 1 --handovers 1 --lag-samples 5 --dir " + dir))
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	var got struct {
		Rows []struct {
			System, Store, Place, Call string
			Outstanding                int
			Ops                        struct{ Median float64 } `json:"ops_per_s"`
			P50                        struct{ Median float64 } `json:"p50_us"`
			CPU                        struct{ Median float64 } `json:"cpu_us_per_op"`
			Fsyncs                     struct{ Median float64 } `json:"fsyncs_per_s"`
			Error                      string
		}
		Measures map[string]float64
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in\n%s", err, &out)
	}
	const nodes, rafts = 2 * (2*2 + 1), 2 * 2
	if n := len(got.Rows); n != nodes+rafts {
		t.Errorf("got %d rows, want %d", n, nodes+rafts)
	}
	for _, r := range got.Rows {
		if r.Error != "" || r.Ops.Median <= 0 || r.P50.Median <= 0 || r.CPU.Median <= 0 || r.Fsyncs.Median <= 0 {
			t.Errorf("a figure is missing: %+v", r)
		}
	}
	for _, name := range []string{
		"single_p50_vs_raft", "out50_ops_per_s", "out50_wal_ops_per_s", "apply512_ops_per_s", "apply512_wal_ops_per_s",
		"failover_p50_ms", "failover_p99_ms", "handover_p99_ms",
	} {
		if got.Measures[name] <= 0 {
			t.Errorf("measure %s: got %v", name, got.Measures[name])
		}
	}
	for _, name := range []string{"handover_errors", "follower_lag_p50_ms", "follower_lag_p99_ms"} { // 0 is a good one
		if v, ok := got.Measures[name]; !ok || v < 0 {
			t.Errorf("measure %s: got %v, there %v", name, v, ok)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// One run of a small fleet, so short that its figures mean nothing.
func TestFleet_EndToEnd(t *testing.T) {
	dir := t.TempDir()
	var out, log bytes.Buffer
	cmd := newCommand()
	cmd.SetOut(&out)
	cmd.SetErr(&log)
	cmd.SetArgs(strings.Fields("fleet -o json --voters 3 --replicas 2 --idle 200ms --load 1s --warm-up 100ms --rate 50 --callers 10 --lag-samples 3 --starts 1 --members 3000 --kills 1 --failover-replicas 2 --dir " + dir))
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	var got struct {
		Idle, Load []struct{ Seconds float64 }
		Measures   map[string]float64
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in\n%s", err, &out)
	}
	if len(got.Idle) == 0 || len(got.Load) == 0 {
		t.Errorf("samples are missing: %+v", got)
	}
	for _, name := range []string{
		"idle_leader_cpu_percent", "idle_bytes_per_replica_and_s", "load_leader_cpu_percent", "load_writes_per_s", "load_p50_ms", "load_p99_ms",
		"load_bytes_per_replica_and_write", "load_answer_bytes_per_write", "start_empty_read_ms", "start_empty_ready_ms", "start_stocked_read_ms",
		"failover_p50_ms", "failover_p99_ms",
	} {
		if got.Measures[name] <= 0 {
			t.Errorf("measure %s: got %v", name, got.Measures[name])
		}
	}
	for _, name := range []string{"idle_elections", "load_elections", "load_errors", "idle_lag_p99_ms", "load_lag_p99_ms"} { // 0 is a good one
		if v, ok := got.Measures[name]; !ok || v < 0 {
			t.Errorf("measure %s: got %v, there %v", name, v, ok)
		}
	}
	if got, least := got.Measures["start_stocked_received_bytes"], 3000*8.0; got < least {
		t.Errorf("a server that came to 3,000 members received %v bytes, want %v at least", got, least)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// One run with tiny states, so that its figures mean nothing, and without Redis.
func TestState_EndToEnd(t *testing.T) {
	dir := t.TempDir()
	var out, log bytes.Buffer
	cmd := newCommand()
	cmd.SetOut(&out)
	cmd.SetErr(&log)
	cmd.SetArgs(strings.Fields("state -o json --scale 0.001 --runs 1 --duration 50ms --dir " + dir))
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	var got struct{ Measures map[string]float64 }
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in\n%s", err, &out)
	}
	for _, name := range []string{
		"heap_bytes_small", "heap_bytes_large", "heap_bytes_private", "heap_bytes_world", "apply_ns_1m", "apply_ns_10m",
		"members100_per_s_8", "members100_iter_per_s_8", "members100_state_ns", "contains_ns", "count_ns_10m", "apply_share", "readers_share",
		"snapshot_stop_ms_10m", "snapshot_s_10m", "snapshot_bytes_per_membership_10m", "destroy_stop_ms_5m", "restore_s_1m", "restore_s_10m",
		"gc_longest_stop_ms_10m", "gc_cpu_share_10m",
	} {
		if got.Measures[name] <= 0 {
			t.Errorf("measure %s: got %v", name, got.Measures[name])
		}
	}
	for name := range got.Measures {
		if strings.Contains(name, "redis") || strings.Contains(name, "smembers") {
			t.Errorf("measure %s: there was no Redis", name)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// pushes runs "push" with few frontends and members, so short that its figures mean nothing.
func pushes(t *testing.T, flags string) (measures map[string]float64) {
	t.Helper()
	dir := t.TempDir()
	var out, log bytes.Buffer
	cmd := newCommand()
	cmd.SetOut(&out)
	cmd.SetErr(&log)
	cmd.SetArgs(strings.Fields("push -o json --frontends 4 --scale 0.01 --runs 1 --duration 200ms --warm-up 20ms --rate 50 --dir " + dir + " " + flags))
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	var got struct {
		Rows []struct {
			By     string
			Pushes struct{ Median float64 } `json:"pushes_per_s"`
			P50    struct{ Median float64 } `json:"p50_us"`
			CPU    struct{ Median float64 } `json:"cpu_us_per_push"`
			Error  string
		}
		Measures map[string]float64
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in\n%s", err, &out)
	}
	for _, r := range got.Rows {
		if r.Error != "" || r.Pushes.Median <= 0 || r.P50.Median <= 0 || r.CPU.Median <= 0 {
			t.Errorf("a figure is missing: %+v", r)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	return got.Measures
}

func TestPush_EndToEnd(t *testing.T) {
	got := pushes(t, "")
	for _, name := range []string{
		"latency_10x100_p50_ms", "latency_10x100_p99_ms", "rate_10x100_per_s", "rate_10x100_shared_per_s", "rate_10x10000_per_s",
		"rate_10x10000_churn_per_s", "churn_changes_per_s", "wire_bytes_per_frontend_100k", "wire_bytes_per_frontend_100k_64",
		"alloc_bytes_per_frontend", "alloc_bytes_per_frontend_64", "stalled_p99_ratio", "stalled_p99_ms", "stalled_recovery_s",
	} {
		if got[name] <= 0 {
			t.Errorf("measure %s: got %v", name, got[name])
		}
	}
	for _, name := range []string{"stalled_errors", "stalled_memory_mb", "stalled_resident_mb"} { // may be 0, or less
		if _, ok := got[name]; !ok {
			t.Errorf("measure %s is missing", name)
		}
	}
	for name := range got {
		if strings.Contains(name, "redis") {
			t.Errorf("measure %s: there was no Redis", name)
		}
	}
}

func TestPush_BesideRedis(t *testing.T) {
	addr := redistest.Start(t)
	got := pushes(t, "--only latency,rate,large,wire,churn --redis "+addr)
	for _, name := range []string{
		"latency_10x100_vs_redis", "rate_10x100_vs_redis", "rate_10x100_shared_vs_redis", "rate_10x10000_vs_redis", "rate_10x10000_churn_vs_redis",
		"wire_bytes_per_frontend_100k_redis",
	} {
		if got[name] <= 0 {
			t.Errorf("measure %s: got %v", name, got[name])
		}
	}
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	if keys, err := client.Keys(t.Context(), "*").Result(); err != nil || len(keys) > 0 {
		t.Errorf("left in Redis: %v, %v", keys, err)
	}
}

func TestCommands_RefuseWrongFlags(t *testing.T) {
	for _, args := range []string{"writes --outstanding 0", "writes -o xml", "writes --stores tape", "writes more", "fleet --voters 6", "fleet -o xml", "fleet --rate 0", "state --only nothing", "state -o xml", "state --scale 2", "push --only nothing", "push -o xml", "push --frontends 1"} {
		cmd := newCommand()
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		cmd.SetArgs(strings.Fields(args))
		if err := cmd.ExecuteContext(t.Context()); err == nil {
			t.Errorf("%s: got no error", args)
		}
	}
}
