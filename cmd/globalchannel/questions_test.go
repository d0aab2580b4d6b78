package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/testing/protocmp"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
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
	wantParts(t, invoke(t, "explain", "room", "alice", "--addr", addr).stdout, `"alice" is in "room" on connector-2`, "PUSH-TO", "connector-2", "up", "yes")
	e = ask[explained](t, addr, "explain", "hall", "alice")
	if diff := cmp.Diff([]string{"connector-2"}, e.Elsewhere); diff != "" || len(e.Places) != 0 || !strings.Contains(e.Verdict, "is in other channels on connector-2") {
		t.Errorf("explain hall: %+v", e)
	}
	if e = ask[explained](t, addr, "explain", "nowhere", "alice"); e.Exists || !strings.Contains(e.Verdict, `there is no channel "nowhere"`) {
		t.Errorf("explain nowhere: %+v", e)
	}
	if e = ask[explained](t, addr, "explain", "room", "nobody"); !strings.Contains(e.Verdict, `nor is "nobody" in any other channel`) {
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

func TestChannels_FetchesAllPagesOrAsManyAsWanted(t *testing.T) {
	f := &fake{}
	for i := range channelPage + 5 {
		f.names = append(f.names, fmt.Sprintf("guild:%05d", i))
	}
	addr := startFake(t, f)
	for limit, want := range map[string]int{"": len(f.names), "--limit=7": 7, fmt.Sprint("--limit=", channelPage+2): channelPage + 2, fmt.Sprint("--limit=", channelPage): channelPage} {
		r := invoke(t, strings.Fields("channels --addr "+addr+" "+limit)...)
		wantCode(t, r, exitOK)
		if diff := cmp.Diff(strings.Join(f.names[:want], "\n")+"\n", r.stdout); diff != "" {
			t.Errorf("%q (-want +got):\n%s", limit, diff)
		}
	}
	wantCode(t, invoke(t, strings.Fields("channels --prefix g --after guild:10000 --linearizable --addr "+addr)...), exitOK)
	want := &pb.ChannelsRequest{Prefix: "g", After: "guild:10000", Limit: channelPage, Read: &pb.Freshness{Linearizable: true}}
	if diff := cmp.Diff(want, f.last(t), protocmp.Transform()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestExplain_Shapes(t *testing.T) {
	f := &fake{explain: &pb.ExplainResponse{
		Index: 42, AgeMs: 1500, Exists: true, Members: 1, Parked: 2, Changed: 40, Verdict: "alice is here", Elsewhere: []string{"connector-3"},
		ParkedElsewhere: []string{"connector-9"},
		Places: []*pb.PlayerPlace{
			{Sid: "connector-1", Stype: "connector", Epoch: 7, Up: true, Session: 3, Added: 39, Via: "agent-1", Addr: "10.0.0.1:7400", Answers: true},
			{Sid: "connector-2", Stype: "connector", Epoch: 8, Parked: true, Problem: "its life is over"},
			{Sid: "out", Problem: "never registered"},
		},
	}}
	addr := startFake(t, f)
	r := invoke(t, "explain", "room", "alice", "--addr", addr, "-o", "json")
	wantCode(t, r, exitOK)
	want := `{"verdict":"alice is here","exists":true,"members":1,"parked":2,"changed":40,"index":42,"age_ms":1500,"places":[` +
		`{"id":"connector-1","type":"connector","epoch":7,"state":"up","session":3,"added":39,"via":"agent-1","addr":"10.0.0.1:7400","answers":true,"problem":""},` +
		`{"id":"connector-2","type":"connector","epoch":8,"state":"parked","session":0,"added":0,"via":"","addr":"","answers":false,"problem":"its life is over"},` +
		`{"id":"out","type":"","epoch":0,"state":"unregistered","session":0,"added":0,"via":"","addr":"","answers":false,"problem":"never registered"}],` +
		`"elsewhere":["connector-3"],"parked_elsewhere":["connector-9"]}` + "\n"
	if diff := cmp.Diff(want, r.stdout); diff != "" {
		t.Errorf("json (-want +got):\n%s", diff)
	}
	lines := strings.Split(invoke(t, "explain", "room", "alice", "--addr", addr).stdout, "\n")
	wantParts(t, lines[0], "alice is here")
	wantParts(t, lines[1], "index 42, 1.5s old; the channel has 1 member and 2 parked and changed at 40")
	wantParts(t, lines[3], "connector-1", "up", "7", "3", "39", "10.0.0.1:7400", "agent-1", "yes")
	wantParts(t, lines[4], "connector-2", "parked", "its life is over")
	f.explain.AgeMs, f.explain.Places = -1, nil
	wantParts(t, invoke(t, "explain", "room", "alice", "--addr", addr, "-o", "json").stdout, `"age_ms":null,"places":[]`)
	f.fail, f.status = serviceError(t, codes.Unavailable, "REPLICA_BEHIND", "", "replica is behind"), &pb.StatusResponse{Sid: "agent-1", Problem: "no leader is known"}
	r = invoke(t, "explain", "room", "alice", "--addr", addr)
	wantCode(t, r, exitFailure)
	wantParts(t, r.stderr, "replica is behind", "agent-1 says: no leader is known", "--stale does not wait")
}
