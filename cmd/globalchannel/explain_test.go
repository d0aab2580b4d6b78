package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pofresh/globalchannel/node"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

func TestExplain_SaysWhatToDo(t *testing.T) {
	two := []*pb.Server{{Sid: "connector-1"}, {Sid: "connector-2"}}
	sick := &pb.StatusResponse{Sid: "agent-1", Problem: "no leader is known"}
	tests := []struct {
		name string
		fake *fake
		code int
		want []string
	}{
		{"invalid", &fake{fail: serviceError(t, codes.InvalidArgument, "INVALID_ARGUMENT", "rejected", "uid has 300 bytes; at most 255 are allowed")},
			exitUsage, []string{"uid has 300 bytes"}},
		{"unknown server", &fake{fail: serviceError(t, codes.NotFound, "UNKNOWN_SERVER", "rejected", `unknown server: "alice"`), servers: two},
			exitFailure, []string{`unknown server: "alice"`, "registered are connector-1, connector-2", "NAME UID SID"}},
		{"server gone", &fake{fail: serviceError(t, codes.FailedPrecondition, "SERVER_GONE", "rejected", "server gone"), servers: two},
			exitFailure, []string{"server gone", "log in again", "connector-1, connector-2"}},
		{"no leader", &fake{fail: serviceError(t, codes.Unavailable, "NO_LEADER", "outcome_unknown", "outcome unknown: no leader"), status: sick},
			exitFailure, []string{"run the same command again", "agent-1 says: no leader is known"}},
		{"closing", &fake{fail: serviceError(t, codes.Unavailable, "CLOSED", "not_sent", "node closed")},
			exitFailure, []string{"shutting down", "--addr"}},
		{"unknown outcome", &fake{fail: serviceError(t, codes.Unknown, "", "outcome_unknown", "outcome unknown")},
			exitFailure, []string{"(it may have taken effect: run the same command again)"}},
		{"broken connection", &fake{fail: status.Error(codes.Unavailable, "broken")},
			exitFailure, []string{"no way to talk to", "the write may or may not have taken effect"}},
		{"not built", &fake{fail: status.Error(codes.Unimplemented, "unknown method")}, exitFailure, []string{"of this version?"}},
		{"no answer, sick", &fake{hang: true, status: sick}, exitFailure, []string{"within 2s", "may or may not", "no leader is known"}},
		{"no answer, well", &fake{hang: true, status: &pb.StatusResponse{Sid: "agent-1", Leader: "agent-2"}}, exitFailure, []string{"follows agent-2", "--timeout 4s"}},
		{"no answer, no leader", &fake{hang: true, status: &pb.StatusResponse{Sid: "agent-1"}}, exitFailure, []string{"knows no leader"}},
		{"no answer at all", &fake{hang: true}, exitFailure, []string{"does not tell its status either"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // some wait for a timeout
			args := []string{"add", "room", "alice", "connector-1", "--addr", startFake(t, tt.fake)}
			if tt.fake.hang {
				args = append(args, "--timeout", "2s")
			}
			r := invoke(t, args...)
			wantCode(t, r, tt.code)
			wantParts(t, r.stderr, tt.want...)
		})
	}
}

// freeAddr is an address at which nobody listens.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestExplain_NobodyListens(t *testing.T) {
	addr := freeAddr(t)
	for _, args := range [][]string{{"status"}, {"listen", "--id", "connector-1", "--type", "connector"}} {
		r := invoke(t, append(args, "--addr", addr)...)
		wantCode(t, r, exitFailure)
		wantParts(t, r.stderr, "no server answers at "+addr, "connection refused", "globalchannel agent --id agent-1", "--listen "+addr, "--addr")
	}
}

// A paused process takes connections, because the kernel does, and says nothing.
func TestExplain_SilentListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := invoke(t, "status", "--addr", l.Addr().String(), "--timeout", "200ms")
	wantCode(t, r, exitFailure)
	wantParts(t, r.stderr, l.Addr().String(), "paused or overloaded")
}

func TestExplain_ReadLeavesNoDoubt(t *testing.T) {
	r := invoke(t, "members", "room", "--addr", startFake(t, &fake{fail: status.Error(codes.Unavailable, "broken")}))
	wantCode(t, r, exitFailure)
	wantParts(t, r.stderr, "no way to talk to", "broken")
	if strings.Contains(r.stderr, "taken effect") {
		t.Errorf("a read has no effect: %s", r.stderr)
	}
}

func TestExplain_ListenerHangsUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	})
	defer wg.Wait()
	defer l.Close()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := invoke(t, "status", "--addr", l.Addr().String())
	wantCode(t, r, exitFailure)
	wantParts(t, r.stderr, l.Addr().String(), "--secret-file FILE")
	r = invoke(t, "status", "--addr", l.Addr().String(), "--secret-file", secret)
	wantCode(t, r, exitFailure)
	wantParts(t, r.stderr, secret, "same bytes")
}

func TestInFlags_LeavesValuesAlone(t *testing.T) {
	tests := []struct{ text, want string }{
		{`invalid argument: Config.Listen "Join:1" is not loopback: set Secret (the same), or Insecure to run`, `--listen "Join:1" is not loopback: set --secret-file (the same), or --insecure to run`},
		{`Config.SID: invalid argument: sid is empty`, `--id: sid is empty`},
		{`Config.Expect is 9, above Cluster.MaxVoters (5)`, `--expect is 9, above --max-voters (5)`},
		{`is "a \"Join\" b" Listening`, `is "a \"Join\" b" Listening`},
	}
	for _, tt := range tests {
		if got := inFlags(tt.text); got != tt.want {
			t.Errorf("inFlags(%s):\n got %s\nwant %s", tt.text, got, tt.want)
		}
	}
	if err := startError(node.ErrInvalidArgument); !errors.Is(err, node.ErrInvalidArgument) {
		t.Errorf("%v has lost its identity", err)
	}
}

func TestShellWord_CanBePasted(t *testing.T) {
	for in, want := range map[string]string{"connector-1": "connector-1", "a b": "'a b'", "it's": `'it'\''s'`, "": "''", "$x": "'$x'"} {
		if got := shellWord(in); got != want {
			t.Errorf("shellWord(%q): %s, want %s", in, got, want)
		}
	}
}
