package node_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
)

// get asks a node's handler, without a network.
func get(ctx context.Context, n *node.Node, path string) (code int, body string) {
	w := httptest.NewRecorder()
	n.HTTPHandler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

// wantPage waits until a page has that status and all parts.
func wantPage(t *testing.T, ctx context.Context, n *node.Node, path string, code int, parts ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		got, body := get(ctx, n, path)
		missing := ""
		for _, p := range parts {
			if !strings.Contains(body, p) {
				missing = p
			}
		}
		if got == code && missing == "" {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s of %s: %d, want %d with %q; it says:\n%s", path, n.Self().SID, got, code, missing, body)
		}
		pause(ctx, 50*time.Millisecond)
	}
}

func TestHTTP_TellsHealthAndReadinessThroughALife(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfgs := three()
		for i := range cfgs {
			cfgs[i].Expect = 4 // the fourth comes later: nobody is in a cluster yet
		}
		f := nodetest.Cluster(t, cfgs...)
		c1 := f.Node("c1")
		wantPage(t, ctx, c1, "/healthz", http.StatusOK, "ok\n")
		wantPage(t, ctx, c1, "/readyz", http.StatusServiceUnavailable, "not registered yet", "no leader is known\n", "3 of 4 founders seen")
		wantPage(t, ctx, c1, "/metrics", http.StatusOK, "globalchannel_ready 0\n", "globalchannel_raft_leader_known 0\n")

		last := server("c4", "connector")
		last.Expect = 4
		f.Start(last)
		f.WaitReady(ctx)
		for _, n := range f.Nodes() {
			wantPage(t, ctx, n, "/healthz", http.StatusOK, "ok\n")
			wantPage(t, ctx, n, "/readyz", http.StatusOK, "ok\n")
			wantPage(t, ctx, n, "/metrics", http.StatusOK, "globalchannel_ready 1\n", "globalchannel_lives 4\n", `globalchannel_raft_servers{role="voter"} 4`)
		}

		// Half of them gone: the rest lives, and takes no players.
		f.Kill("c3", "c4")
		wantPage(t, ctx, c1, "/readyz", http.StatusServiceUnavailable, "no leader is known\n")
		wantPage(t, ctx, c1, "/healthz", http.StatusOK, "ok\n")
		pause(ctx, 10*time.Second)
		wantPage(t, ctx, c1, "/readyz", http.StatusServiceUnavailable, "the replica is 1", "s old\n")
		f.Restart("c3")
		wantPage(t, ctx, c1, "/readyz", http.StatusOK, "ok\n")

		must(t, c1.Close())
		wantPage(t, ctx, c1, "/healthz", http.StatusServiceUnavailable, "node closed\n")
		wantPage(t, ctx, c1, "/readyz", http.StatusServiceUnavailable, "node closed\n")
		wantPage(t, ctx, c1, "/metrics", http.StatusOK, "globalchannel_ready 0\n")
	})
}

func TestHTTP_AHaltedStateIsNotReadyAndAnotherStartWouldNotHelp(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		n := f.Node("c4")
		n.Halt()
		wantPage(t, ctx, n, "/readyz", http.StatusServiceUnavailable, "halted")
		wantPage(t, ctx, n, "/healthz", http.StatusOK, "ok\n")
	})
}

// That is when somebody looks.
func TestHTTP_AnswersWhileTheDiskHangs(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		leader := f.Leader(ctx)
		resume := f.StallDisk(leader.Self().SID)
		defer resume()
		began := time.Now()
		for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
			get(ctx, leader, path)
		}
		if took := time.Since(began); took > 500*time.Millisecond {
			t.Errorf("three answers took %v", took)
		}
	})
}

func TestHTTP_OffersNothingElse(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, server("c1", "connector"))
		for _, path := range []string{"/", "/debug/pprof/", "/metrics/x", "/healthz/x"} {
			if code, _ := get(ctx, f.Node("c1"), path); code != http.StatusNotFound {
				t.Errorf("%s: %d", path, code)
			}
		}
		w := httptest.NewRecorder()
		f.Node("c1").HTTPHandler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/healthz", nil))
		if w.Code != http.StatusMethodNotAllowed {
			t.Errorf("POST: %d", w.Code)
		}
	})
}

func TestMetrics_CountWhatHappened(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfgs := four()
		cfgs[0].OnPush = func(context.Context, *node.Delivery) ([]string, error) { return nil, nil }
		f := readyCluster(t, ctx, cfgs...)
		n := f.Node("c4")
		for i := range 5 {
			must(t, n.Add(ctx, "world", fmt.Sprint(i), "c1"))
		}
		_, err := n.Apply(ctx, node.AddOps("world", "c2", "x", "y", "z")...)
		must(t, err)
		must(t, n.Session("s").Add(ctx, "world"))
		wantError(t, n.Add(ctx, "world", "u", "nobody"), node.ErrUnknownServer)
		wantError(t, n.Add(ctx, "", "u", "c1"), node.ErrInvalidArgument)
		_, _ = n.PushMessage(ctx, "connector", "r", nil, "world", node.PushOptions{}) // c2 and c4 have no handler
		past, cancel := context.WithCancel(ctx)
		cancel()
		wantError(t, n.Leave(past, "world", "u", "c1"), node.ErrNotSent)
		wantPage(t, ctx, n, "/metrics", http.StatusOK,
			`globalchannel_writes_total{result="acknowledged"} 7`,
			`globalchannel_writes_total{result="rejected"} 2`,
			`globalchannel_writes_total{result="not_sent"} 1`,
			`globalchannel_writes_total{result="outcome_unknown"} 0`,
			`globalchannel_push_deliveries_total{outcome="delivered"} 1`,
			`globalchannel_push_deliveries_total{outcome="not_delivered"} 2`,
			"globalchannel_batch_operations_sum 10\n", "globalchannel_commit_duration_seconds_count 8\n",
			"globalchannel_channels 1\n", "globalchannel_memberships 9\n", "globalchannel_lives 4\n", "globalchannel_gossip_members 4\n",
			"globalchannel_outbox_operations 0\n", "globalchannel_replica_age_seconds ", `globalchannel_raft_servers{role="replica"} 1`,
			`globalchannel_gossip_rejections_total{reason="foreign"} 0`, "globalchannel_build_info{version=",
		)
		_, other := get(ctx, f.Node("c1"), "/metrics") // of another node in this process
		if !strings.Contains(other, `globalchannel_writes_total{result="acknowledged"} 0`) {
			t.Errorf("c1 counts what c4 did:\n%s", other)
		}
	})
}

func TestMetrics_AreNamedAsPrometheusHasIt(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, server("c1", "connector"))
		must(t, f.Node("c1").Add(ctx, "world", "alice", "c1"))
		code, body := get(ctx, f.Node("c1"), "/metrics")
		problems, err := promlint.New(strings.NewReader(body)).Lint()
		if err != nil || code != http.StatusOK || len(problems) != 0 {
			t.Errorf("%d, %v, %v", code, err, problems)
		}
		for line := range strings.Lines(body) {
			if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "globalchannel_") {
				t.Errorf("foreign metric %s", line)
			}
		}
	})
}
