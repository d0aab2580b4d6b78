package jepsen_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
)

// pushTo runs a push with a report, which must end with that exit code.
func (r *run) pushTo(s *harness.Server, code int, name, msg string, args ...string) (pushReport, harness.Result) {
	r.t.Helper()
	result := r.try(s, append([]string{"push", name, "--type", stype, "--route", "chat.say", "--msg", msg, "-o", "json"}, args...)...)
	if result.Code != code {
		r.t.Fatalf("want exit code %d: %v", code, result)
	}
	return decode[pushReport](r.t, result.Stdout), result
}

// A push that nobody could get fails, and its last line says what to do: exactly
// that is done, and the next push arrives.
func pushNobodyListens(r *run) {
	at := r.cluster.Servers[0]
	r.write(at, "add", "silent", "alice", "connector-1")
	report, result := r.pushTo(at, 1, "silent", "anybody?")
	if len(report.Servers) != 1 || report.Servers[0].Outcome != "not_delivered" || report.Servers[0].Members != 1 {
		r.t.Errorf("report %+v: want connector-1 with its one member, not delivered", report)
	}
	r.want([]string{"alice"}, report.Undelivered, "undelivered")
	r.want([]string{}, report.Failed, "failed")
	r.wantFailure(result, 1, "1 member, 0 delivered: connector-1 has no push handler (try: globalchannel listen --id ")

	_, hint, _ := strings.Cut(strings.TrimSpace(result.Stderr), "(try: globalchannel ")
	args := strings.Fields(strings.TrimSuffix(hint, ")"))
	listener := r.listener(args)
	defer listener.end()
	sid := args[slices.Index(args, "--id")+1]
	index := r.write(at, "add", "silent", "bob", sid)
	report, _ = r.pushTo(r.cluster.Servers[1], 0, "silent", "and now?", "--min-index", fmt.Sprint(index))
	r.want([]string{"alice"}, report.Undelivered, "undelivered, now that one listens")
	r.want(pushLine{Route: "chat.say", Channel: "silent", UIDs: []string{"bob"}, Msg: new("and now?")}, listener.next(), "what the listener got")
}

// The report of a push that some got: delivered, answered as offline, and on a
// server that has no handler.
func pushAndReport(r *run) {
	s := r.cluster.Servers
	listener := r.listen(s[2], "frontend-of-push", "--offline", "ghost,spirit")
	defer listener.end()
	r.write(s[0], "add", "mixed", "alice", "connector-1")
	r.write(s[0], "add", "mixed", "ghost", "frontend-of-push")
	index := r.write(s[1], "add", "mixed", "bob", "frontend-of-push")
	fresh := []string{"--min-index", fmt.Sprint(index)}

	report, _ := r.pushTo(s[1], 0, "mixed", "hello", fresh...)
	slices.Sort(report.Undelivered)
	r.want([]string{"ghost"}, report.Failed, "failed")
	r.want([]string{"alice", "ghost"}, report.Undelivered, "undelivered")
	outcomes := make(map[string]string)
	for _, server := range report.Servers {
		outcomes[server.ID] = fmt.Sprintf("%s, %d members, offline %v", server.Outcome, server.Members, server.Failed)
	}
	r.want(map[string]string{
		"connector-1":      "not_delivered, 1 members, offline []",
		"frontend-of-push": "delivered, 2 members, offline [ghost]",
	}, outcomes, "servers")
	r.want(pushLine{Route: "chat.say", Channel: "mixed", UIDs: []string{"bob", "ghost"}, Msg: new("hello")}, listener.next(), "what the listener got")

	table := r.command(s[0], append(fresh, "push", "mixed", "--type", stype, "--route", "x", "--msg", "")...).Stdout
	lines := strings.Split(strings.TrimSpace(table), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "3 members, 1 delivered, 1 offline: connector-1 has no push handler") {
		r.t.Errorf("the table ends with %q", last)
	}
	r.want(pushLine{Route: "x", Channel: "mixed", UIDs: []string{"bob", "ghost"}, Msg: new("")}, listener.next(), "an empty message")

	nobody, _ := r.pushTo(s[0], 0, "empty channel", "hello")
	if len(nobody.Servers)+len(nobody.Failed)+len(nobody.Undelivered) != 0 {
		r.t.Errorf("a push to nobody reports %+v", nobody)
	}
}

func pushBytes(r *run) {
	s := r.cluster.Servers
	listener := r.listen(s[0], "frontend-of-bytes")
	defer listener.end()
	index := r.write(s[0], "add", "bytes", "bob", "frontend-of-bytes")
	r.pushTo(s[2], 0, "bytes", "\xff\xfe", "--min-index", fmt.Sprint(index))
	r.want(pushLine{Route: "chat.say", Channel: "bytes", UIDs: []string{"bob"}, MsgBase64: new("//4=")}, listener.next(), "what the listener got")
}

// A frontend that ends takes its players along, everywhere.
func listenSaysGoodbye(r *run) {
	s := r.cluster.Servers
	listener := r.listen(s[1], "frontend-that-leaves")
	index := r.write(s[0], "add", "visit", "bob", "frontend-that-leaves")
	r.want([]string{"bob"}, r.members(s[2], "visit", "--min-index", fmt.Sprint(index)), "while it is attached")

	second := r.try(s[1], "listen", "--id", "frontend-that-leaves", "--type", stype)
	r.wantFailure(second, 1, "frontend-that-leaves")

	r.want(0, listener.end(), "exit code after SIGTERM")
	for _, at := range s {
		r.eventually("the frontend to be gone at "+at.SID, func() error {
			if left := r.members(at, "visit"); len(left) > 0 {
				return fmt.Errorf("still there: %q", left)
			}
			return nil
		})
		if _, there := r.servers(at)["frontend-that-leaves"]; there {
			r.t.Errorf("still registered at %s", at.SID)
		}
	}
}

// end asks the frontend to end and returns its exit code.
func (l *listener) end() int {
	l.run.t.Helper()
	code, err := l.process.Terminate(l.run.ctx)
	l.run.must(err)
	return code
}
