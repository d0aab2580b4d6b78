package jepsen_test

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
)

// Shapes of -o json, as a user's script would declare them.
type (
	serverLine struct {
		ID     string `json:"id"`
		Type   string `json:"type"`
		Addr   string `json:"addr"`
		NodeID string `json:"node_id"`
		Leader bool   `json:"leader"`
		Role   string `json:"role"`
		Via    string `json:"via"`
		Epoch  uint64 `json:"epoch"`
	}
	pushReport struct {
		Failed      []string `json:"failed"`
		Undelivered []string `json:"undelivered"`
		Servers     []struct {
			ID      string   `json:"id"`
			Outcome string   `json:"outcome"`
			Reason  string   `json:"reason"`
			Members int      `json:"members"`
			Failed  []string `json:"failed"`
		} `json:"servers"`
	}
	pushLine struct {
		Route     string   `json:"route"`
		Channel   string   `json:"channel"`
		UIDs      []string `json:"uids"`
		Msg       *string  `json:"msg"`
		MsgBase64 *string  `json:"msg_base64"`
	}
)

// decode reads exactly one JSON value.
func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	if err := dec.Decode(&v); err != nil || dec.More() {
		t.Fatalf("want one JSON value of the shape %T, got (error %v):\n%s", v, err, text)
	}
	return v
}

// try runs a command against that server, whatever comes of it.
func (r *run) try(s *harness.Server, args ...string) harness.Result {
	r.t.Helper()
	args = append(append(slices.Clone(args), "--addr", s.Addr), r.cluster.SecretFlag()...)
	return r.raw(nil, args...)
}

// raw runs a command with just these arguments and variables.
func (r *run) raw(env []string, args ...string) harness.Result {
	r.t.Helper()
	result, err := binary().Run(r.ctx, env, args...)
	r.must(err)
	return result
}

// command runs a command that must succeed.
func (r *run) command(s *harness.Server, args ...string) harness.Result {
	r.t.Helper()
	result := r.try(s, args...)
	if result.Code != 0 {
		r.t.Fatalf("want success, got %v", result)
	}
	return result
}

// write runs a command that changes something and returns its index.
func (r *run) write(s *harness.Server, args ...string) uint64 {
	r.t.Helper()
	answer := decode[struct{ Index uint64 }](r.t, r.command(s, append(args, "-o", "json")...).Stdout)
	if answer.Index == 0 {
		r.t.Fatalf("%q tells no index", args)
	}
	return answer.Index
}

// members are the uids of a channel.
func (r *run) members(s *harness.Server, name string, args ...string) []string {
	r.t.Helper()
	return decode[[]string](r.t, r.command(s, append([]string{"members", name, "-o", "json"}, args...)...).Stdout)
}

// servers are all registered ones that this server knows by now, by id.
func (r *run) servers(s *harness.Server, args ...string) map[string]serverLine {
	r.t.Helper()
	list := decode[struct{ Servers []serverLine }](r.t, r.command(s, append([]string{"servers", "-o", "json"}, args...)...).Stdout)
	byID := make(map[string]serverLine)
	for _, line := range list.Servers {
		byID[line.ID] = line
	}
	return byID
}

// eventually waits until holds returns nil: for what a replica shows only when
// the log has reached it.
func (r *run) eventually(what string, holds func() error) {
	r.t.Helper()
	r.must(harness.Await(r.ctx, what, func(context.Context) error { return holds() }))
}

// listener is a frontend in a process of its own.
type listener struct {
	run     *run
	process *harness.Process
	epoch   uint64 // of its life, as it was told
	read    int    // lines of its output
}

// listen attaches a frontend to that server and returns when it is registered.
func (r *run) listen(s *harness.Server, sid string, args ...string) *listener {
	r.t.Helper()
	args = append([]string{"listen", "--id", sid, "--type", stype, "--addr", s.Addr}, args...)
	return r.listener(append(args, r.cluster.SecretFlag()...))
}

func (r *run) listener(args []string) *listener {
	r.t.Helper()
	p, err := binary().Start(nil, args...)
	r.must(err)
	l := &listener{run: r, process: p}
	r.t.Cleanup(p.Kill)
	line, _, err := p.Stderr.Wait(r.ctx, 0, func(line string) bool { return strings.Contains(line, "is attached to") })
	r.must(err)
	_, epoch, _ := strings.Cut(line, ", epoch ")
	if l.epoch, err = strconv.ParseUint(epoch, 10, 64); err != nil || l.epoch == 0 {
		r.t.Fatalf("want an epoch at the end of %q: %v", line, err)
	}
	return l
}

// next is the next push that it prints.
func (l *listener) next() pushLine {
	l.run.t.Helper()
	text, next, err := l.process.Stdout.Wait(l.run.ctx, l.read, func(string) bool { return true })
	l.run.must(err)
	l.read = next
	line := decode[pushLine](l.run.t, text)
	slices.Sort(line.UIDs)
	return line
}
