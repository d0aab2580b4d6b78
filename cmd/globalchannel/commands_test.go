package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

func TestWrite_AsksAndPrintsTheIndex(t *testing.T) {
	f := &fake{}
	addr := startFake(t, f)
	tests := []struct {
		args  []string
		want  proto.Message
		table string
	}{
		{[]string{"add", "room", "alice", "connector-1"}, &pb.AddRequest{Name: "room", Uid: "alice", Sid: "connector-1"}, "alice on connector-1 is in room (index 42)\n"},
		{[]string{"leave", "room", "alice", "connector-1"}, &pb.LeaveRequest{Name: "room", Uid: "alice", Sid: "connector-1"}, "alice on connector-1 is not in room (index 42)\n"},
		{[]string{"leave", "--all", "alice", "connector-1"}, &pb.LeaveAllRequest{Uid: "alice", Sid: "connector-1"}, "alice on connector-1 is in no channel (index 42)\n"},
		{[]string{"destroy", "room"}, &pb.DestroyRequest{Name: "room"}, "room is gone (index 42)\n"},
		{[]string{"destroy", "--all"}, &pb.DestroyAllRequest{}, "every channel is gone (index 42)\n"},
	}
	for _, tt := range tests {
		r := invoke(t, append(tt.args, "--addr", addr)...)
		wantCode(t, r, exitOK)
		if diff := cmp.Diff(tt.want, f.last(t), protocmp.Transform()); diff != "" {
			t.Errorf("%v asked (-want +got):\n%s", tt.args, diff)
		}
		if r.stdout != tt.table {
			t.Errorf("%v: %q, want %q", tt.args, r.stdout, tt.table)
		}
		r = invoke(t, append(tt.args, "--addr", addr, "-o", "json")...)
		if want := "{\"index\":42}\n"; r.stdout != want {
			t.Errorf("%v -o json: %q, want %q", tt.args, r.stdout, want)
		}
	}
}

func TestMembers_SortsChunksTogether(t *testing.T) {
	f := &fake{members: [][]*pb.Member{
		{{Uid: "zoe", Sid: "connector-1"}, {Uid: "bob", Sid: "connector-2"}},
		{{Uid: "bob", Sid: "connector-1"}, {Uid: "a\nb", Sid: "connector-1"}},
	}}
	addr := startFake(t, f)
	r := invoke(t, "members", "room", "--addr", addr, "-o", "json", "--min-index", "7", "--stale=false")
	wantCode(t, r, exitOK)
	if want := `["a\nb","bob","zoe"]` + "\n"; r.stdout != want {
		t.Errorf("json: %q, want %q", r.stdout, want)
	}
	if got := f.last(t).(*pb.MembersRequest).MinIndex; got != 7 {
		t.Errorf("asked for index %d, want 7", got)
	}
	r = invoke(t, "members", "room", "--addr", addr)
	want := "UID      SID\n" + `"a\nb"   connector-1` + "\nbob      connector-1\nbob      connector-2\nzoe      connector-1\n"
	if diff := cmp.Diff(want, r.stdout); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestMembers_AsksAsFreshAsWanted(t *testing.T) {
	f := &fake{}
	addr := startFake(t, f)
	for flag, want := range map[string]*pb.MembersRequest{
		"":                     {},
		"--stale":              {Stale: true},
		"--min-index=7":        {MinIndex: 7},
		"--linearizable":       {Linearizable: true},
		"--max-staleness=2s":   {MaxStalenessMs: 2000},
		"--max-staleness=1.5s": {MaxStalenessMs: 1500},
	} {
		want.Name = "room"
		wantCode(t, invoke(t, strings.Fields("members room --addr "+addr+" "+flag)...), exitOK)
		if diff := cmp.Diff(proto.Message(want), f.last(t), protocmp.Transform()); diff != "" {
			t.Errorf("%s asked (-want +got):\n%s", flag, diff)
		}
	}
	f.fail = serviceError(t, codes.Unavailable, "STALE", "", "replica is too old: 3s old, at most 2s is allowed")
	f.status = &pb.StatusResponse{Sid: "agent-1", Problem: "no leader is known"}
	r := invoke(t, "members", "room", "--addr", addr, "--max-staleness", "2s")
	wantCode(t, r, exitFailure)
	wantParts(t, r.stderr, "3s old", "agent-1 says: no leader is known", "--stale does not wait")
}

func TestMembers_EmptyIsAnArray(t *testing.T) {
	addr := startFake(t, &fake{})
	if r := invoke(t, "members", "room", "--type", "connector", "--addr", addr, "-o", "json"); r.stdout != "[]\n" {
		t.Errorf("json: %q, want []", r.stdout)
	}
}

func TestMembers_BrokenListingPrintsNothing(t *testing.T) {
	f := &fake{members: [][]*pb.Member{{{Uid: "alice"}}}, fail: serviceError(t, 13, "HALTED", "", "state halted")}
	r := invoke(t, "members", "room", "--addr", startFake(t, f))
	wantCode(t, r, exitFailure)
	if r.stdout != "" {
		t.Errorf("half a listing was printed: %q", r.stdout)
	}
}

func TestServers_Shapes(t *testing.T) {
	f := &fake{
		servers: []*pb.Server{
			{Sid: "connector-2", Stype: "connector", NodeId: "n2", Via: "connector-1", Role: "attached", Epoch: 9, Health: &pb.Health{Problem: "no answer"}},
			{Sid: "connector-1", Stype: "connector", NodeId: "n1", Addr: "127.0.0.1:7400", Role: "voter", Leader: true, Epoch: 3, Zone: "eu",
				Health: &pb.Health{Answers: true, Version: "v1", Lag: proto.Uint64(0)}},
		},
		lifeless: []*pb.Server{{NodeId: "n3", Role: "voter", Health: &pb.Health{Problem: "nobody listens"}}},
	}
	addr := startFake(t, f)
	r := invoke(t, "servers", "--addr", addr, "-o", "json")
	wantCode(t, r, exitOK)
	want := `{"servers":[` +
		`{"id":"connector-1","type":"connector","node_id":"n1","leader":true,"role":"voter","addr":"127.0.0.1:7400","via":"","zone":"eu","epoch":3,"health":"ok","lag":0,"version":"v1"},` +
		`{"id":"connector-2","type":"connector","node_id":"n2","leader":false,"role":"attached","addr":"","via":"connector-1","zone":"","epoch":9,"health":"no answer","lag":null,"version":""}],` +
		`"lifeless":[{"id":"","type":"","node_id":"n3","leader":false,"role":"voter","addr":"","via":"","zone":"","epoch":0,"health":"nobody listens","lag":null,"version":""}],` +
		`"last_index":41,"last_index_of":"connector-1"}` + "\n"
	if diff := cmp.Diff(want, r.stdout); diff != "" {
		t.Errorf("json (-want +got):\n%s", diff)
	}
	if !f.last(t).(*pb.ServersRequest).Health {
		t.Error("nobody was asked how he is")
	}
	r = invoke(t, "servers", "--addr", addr)
	lines := strings.Split(r.stdout, "\n")
	wantParts(t, lines[0], "ID", "TYPE", "ROLE", "LEADER", "HEALTH", "LAG", "EPOCH", "ZONE", "VERSION", "NODE_ID")
	wantParts(t, lines[1], "connector-1", "voter", "yes", "ok", "0", "3", "eu", "v1", "127.0.0.1:7400")
	wantParts(t, lines[2], "connector-2", "attached", "no", "no answer", "9", "connector-1")
	wantParts(t, lines[3], "voter", "nobody listens", "none", "n3")
	wantParts(t, r.stderr, "1 server without a life")
	invoke(t, "servers", "--addr", addr, "--health=false")
	if f.last(t).(*pb.ServersRequest).Health {
		t.Error("--health=false was not passed on")
	}
}

func TestServers_NobodyIsAnArray(t *testing.T) {
	r := invoke(t, "servers", "--addr", startFake(t, &fake{}), "-o", "json")
	if want := `{"servers":[],"lifeless":[],"last_index":41,"last_index_of":"connector-1"}` + "\n"; r.stdout != want {
		t.Errorf("json: %q, want %q", r.stdout, want)
	}
}

func TestTransferLeader_AsksAndPrintsWhoLeads(t *testing.T) {
	f := &fake{transfer: &pb.TransferLeaderResponse{Sid: "connector-2", NodeId: "n2", TookUs: 31500}}
	addr := startFake(t, f)
	r := invoke(t, "transfer-leader", "connector-2", "--addr", addr)
	wantCode(t, r, exitOK)
	if got := f.last(t).(*pb.TransferLeaderRequest); got.Sid != "connector-2" || got.PassedOn || r.stdout != "connector-2 leads (took over within 31.5ms)\n" {
		t.Errorf("asked %v, printed %q", got, r.stdout)
	}
	r = invoke(t, "transfer-leader", "--addr", addr, "-o", "json")
	if want := `{"leader":"connector-2","node_id":"n2","took_ms":31.5}` + "\n"; f.last(t).(*pb.TransferLeaderRequest).Sid != "" || r.stdout != want {
		t.Errorf("asked %v, printed %q", f.last(t), r.stdout)
	}
	f.transfer.TookUs = 0
	wantParts(t, invoke(t, "transfer-leader", "connector-2", "--addr", addr).stdout, "led already")
	f.fail = serviceError(t, codes.FailedPrecondition, "REFUSED", "", "refused: connector-2 is not a voter")
	r = invoke(t, "transfer-leader", "connector-2", "--addr", addr)
	wantCode(t, r, exitFailure)
	if want := "globalchannel: refused: connector-2 is not a voter\n"; r.stderr != want {
		t.Errorf("%q, want %q", r.stderr, want)
	}
}

func TestRemoveServer_AsksAndPrintsWhatItWas(t *testing.T) {
	f := &fake{removed: &pb.RemoveServerResponse{Sid: "connector-2", NodeId: "n2", Role: "voter", LifeEnded: true}}
	addr := startFake(t, f)
	r := invoke(t, "remove-server", "connector-2", "--addr", addr, "--force", "I know, that", "--force", "and this")
	wantCode(t, r, exitOK)
	if diff := cmp.Diff(&pb.RemoveServerRequest{Server: "connector-2", Force: []string{"I know, that", "and this"}}, f.last(t), protocmp.Transform()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if want := "connector-2 (node n2) is removed: it was a voter, its life is over\n"; r.stdout != want {
		t.Errorf("%q, want %q", r.stdout, want)
	}
	r = invoke(t, "remove-server", "n2", "--addr", addr, "-o", "json")
	if want := `{"id":"connector-2","node_id":"n2","role":"voter","life_ended":true}` + "\n"; r.stdout != want {
		t.Errorf("%q, want %q", r.stdout, want)
	}
	f.fail = serviceError(t, codes.FailedPrecondition, "REFUSED", "", "refused: connector-2 answers")
	r = invoke(t, "remove-server", "connector-2", "--addr", addr)
	wantCode(t, r, exitFailure)
	wantParts(t, r.stderr, "refused: connector-2 answers")
}

func TestStatus_Shapes(t *testing.T) {
	f := &fake{status: &pb.StatusResponse{
		Sid: "connector-1", Stype: "connector", NodeId: "n1", ClusterId: "c1", Role: "voter", Voters: 3, Leader: "connector-3", Term: 2, Applied: 17, Level: 3,
		Ready: true, Problem: "", StateHash: "",
	}}
	addr := startFake(t, f)
	r := invoke(t, "status", "--addr", addr, "-o", "json")
	wantCode(t, r, exitOK)
	want := `{"id":"connector-1","type":"connector","node_id":"n1","cluster_id":"c1","role":"voter","voters":3,"leader":"connector-3",` +
		`"term":2,"applied":17,"age_ms":null,"level":3,"ready":true,"problem":""}` + "\n"
	if diff := cmp.Diff(want, r.stdout); diff != "" {
		t.Errorf("json (-want +got):\n%s", diff)
	}
	wantParts(t, invoke(t, "status", "--addr", addr).stdout, "cluster id   c1", "voters       3", "age          -", "level        3", "ready        yes")

	f.status.AgeMs, f.status.StateHash = proto.Int64(12), "abc"
	wantParts(t, invoke(t, "status", "--hash", "--addr", addr, "-o", "json").stdout, `"age_ms":12`, `"state_hash":"abc"`)
	if !f.last(t).(*pb.StatusRequest).Hash {
		t.Error("--hash was not passed on")
	}
}
