package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

func pushArgs(addr string, more ...string) []string {
	return append([]string{"push", "room", "--type", "connector", "--route", "chat", "--msg", "hi", "--addr", addr}, more...)
}

func TestPush_AsksWithItsTimeoutAndPrintsTheReport(t *testing.T) {
	f := &fake{push: &pb.PushResponse{
		Members: 3, Failed: []string{"bob"}, Undelivered: []string{"bob", "eve"},
		Servers: []*pb.ServerReport{
			{Sid: "connector-1", Outcome: pb.Outcome_OUTCOME_DELIVERED, Members: 2, Failed: []string{"bob"}, LatencyUs: 1500},
			{Sid: "connector-2", Outcome: pb.Outcome_OUTCOME_UNKNOWN, Members: 1, Reason: "timeout"},
		},
	}}
	addr := startFake(t, f)
	r := invoke(t, pushArgs(addr, "--timeout", "3s", "-o", "json")...)
	wantCode(t, r, exitOK)
	wantReq := &pb.PushRequest{Name: "room", Stype: "connector", Route: "chat", Msg: []byte("hi"), TimeoutMs: 3000}
	if diff := cmp.Diff(wantReq, f.last(t), protocmp.Transform()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	want := `{"failed":["bob"],"undelivered":["bob","eve"],"servers":[` +
		`{"id":"connector-1","outcome":"delivered","reason":"","members":2,"failed":["bob"],"latency_ms":1.5},` +
		`{"id":"connector-2","outcome":"unknown","reason":"timeout","members":1,"failed":[],"latency_ms":0}]}` + "\n"
	if diff := cmp.Diff(want, r.stdout); diff != "" {
		t.Errorf("json (-want +got):\n%s", diff)
	}
	r = invoke(t, pushArgs(addr)...)
	wantParts(t, r.stdout, "SERVER", "1.5ms", "3 members, 1 delivered, 1 offline: connector-2: timeout\n")
}

func TestPush_NobodyThereIsNoFailure(t *testing.T) {
	addr := startFake(t, &fake{push: &pb.PushResponse{Ok: true}})
	r := invoke(t, pushArgs(addr, "-o", "json")...)
	wantCode(t, r, exitOK)
	if want := `{"failed":[],"undelivered":[],"servers":[]}` + "\n"; r.stdout != want {
		t.Errorf("json: %q, want %q", r.stdout, want)
	}
	wantParts(t, invoke(t, pushArgs(addr)...).stdout, "nobody to push to")
}

func TestPush_NobodyGotItEndsWithWhatToDo(t *testing.T) {
	f := &fake{
		push: &pb.PushResponse{
			Members: 1, Undelivered: []string{"alice"}, Error: "push reached no server",
			Servers: []*pb.ServerReport{{Sid: "connector-1", Outcome: pb.Outcome_OUTCOME_NOT_DELIVERED, Members: 1, Reason: "no push handler"}},
		},
		servers: []*pb.Server{{Sid: "connector-1"}, {Sid: "connector-2"}},
	}
	addr := startFake(t, f)
	want := fmt.Sprintf("1 member, 0 delivered: connector-1 has no push handler (try: globalchannel listen --id connector-3 --type connector --addr %s)\n", addr)
	for _, format := range []string{"table", "json"} {
		r := invoke(t, pushArgs(addr, "-o", format)...)
		wantCode(t, r, exitFailure)
		if r.stderr != want {
			t.Errorf("%s: stderr %q, want %q", format, r.stderr, want)
		}
		wantParts(t, r.stdout, "connector-1")
	}
}

func TestPush_EmptyMessageIsAllowed(t *testing.T) {
	f := &fake{push: &pb.PushResponse{Ok: true}}
	addr := startFake(t, f)
	r := invoke(t, "push", "room", "--type", "connector", "--route", "chat", "--msg", "", "--addr", addr)
	wantCode(t, r, exitOK)
}

func TestHint_FollowsTheReports(t *testing.T) {
	p := &push{stype: "connector", connection: connection{addr: defaultAddr, timeout: 5 * time.Second}}
	tests := []struct {
		reason string
		want   string
	}{
		{"no push handler", "globalchannel listen --id connector-8 --type connector"},
		{"unreachable: connection refused", "is connector-7 running?"},
		{"another life of this server answers", "stopped or started again"},
		{"the attached frontend's stream broke", "stopped or started again"},
		{"the handler has not answered in time", "--timeout 10s"},
		{"handler panicked: boom", "log of connector-7"},
		{"something new", "globalchannel servers"},
	}
	for _, tt := range tests {
		reports := []*pb.ServerReport{
			{Sid: "connector-1", Reason: "other", Members: 1, Outcome: pb.Outcome_OUTCOME_NOT_DELIVERED},
			{Sid: "connector-7", Reason: tt.reason, Members: 3, Outcome: pb.Outcome_OUTCOME_NOT_DELIVERED},
		}
		if got := p.hint(reports, nil); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q lacks %q", tt.reason, got, tt.want)
		}
	}
	if got, want := p.hint(nil, nil), "globalchannel servers"; !strings.Contains(got, want) {
		t.Errorf("no reports: %q lacks %q", got, want)
	}
}

func TestHint_ProposesAFreeSID(t *testing.T) {
	tests := []struct {
		like  string
		taken []string
		want  string
	}{
		{"connector-1", nil, "connector-2"},
		{"connector-1", []string{"connector-2", "connector-3"}, "connector-4"},
		{"gate", []string{"gate"}, "gate-2"},
		{"gate", []string{"gate", "gate-2"}, "gate-3"},
		{"9", []string{"9"}, "10"},
		{"x99999999999999999999", nil, "x99999999999999999999-2"},
	}
	for _, tt := range tests {
		if got := freeSID(tt.like, tt.taken); got != tt.want {
			t.Errorf("freeSID(%q, %q): %q, want %q", tt.like, tt.taken, got, tt.want)
		}
	}
}

func TestSummary_NamesFewServers(t *testing.T) {
	r := &pb.PushResponse{Members: 5}
	for i := range 5 {
		r.Servers = append(r.Servers, &pb.ServerReport{Sid: fmt.Sprint("s", i), Members: 1, Outcome: pb.Outcome_OUTCOME_NOT_DELIVERED})
	}
	want := "5 members, 0 delivered: s0 not delivered; s1 not delivered; s2 not delivered; and 2 more servers"
	if got := summary(r); got != want {
		t.Errorf("summary: %q, want %q", got, want)
	}
}
