package demo

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const sid1 = "connector-1"

// story records operations of one server in a row, numbering them.
func story(t *testing.T, tr *truth, sid string, ops ...operation) {
	t.Helper()
	for _, op := range ops {
		op.Seq = tr.lives[sid].seq + 1
		op.At = time.Duration(op.Seq) * time.Second
		if op.Channel == "" {
			op.Channel = "room:1"
		}
		if err := tr.record(sid, op); err != nil {
			t.Fatalf("record: %v", err)
		}
	}
}

func state(pairs ...pair) map[pair]struct{} {
	m := make(map[pair]struct{})
	for _, p := range pairs {
		m[p] = struct{}{}
	}
	return m
}

func room1(uid string) pair { return pair{"room:1", uid, sid1} }

func words(found []finding) []string {
	var s []string
	for _, f := range found {
		s = append(s, f.String())
	}
	return s
}

func TestTruth_FindsWhatIsMissingAndWhatIsTooMuch(t *testing.T) {
	tr := newTruth()
	tr.begin(sid1, 0)
	story(t, tr, sid1,
		operation{Kind: join, UID: "ann", Outcome: acknowledged},
		operation{Kind: join, UID: "bob", Outcome: acknowledged},
		operation{Kind: leave, UID: "bob", Outcome: acknowledged},
		operation{Kind: join, UID: "cid", Outcome: notSent},
	)
	tests := []struct {
		name  string
		state map[pair]struct{}
		want  []string
	}{
		{"as it must be", state(room1("ann")), nil},
		{"an acknowledged join is missing", state(),
			[]string{"missing on s: ann of connector-1 in room:1 (join, operation 1 of life 1, acknowledged at 1.0 s)"}},
		{"an acknowledged leave had no effect", state(room1("ann"), room1("bob")),
			[]string{"ghost on s: bob of connector-1 in room:1 (leave, operation 3 of life 1, acknowledged at 3.0 s)"}},
		{"a join that was never sent took effect", state(room1("ann"), room1("cid")),
			[]string{"ghost on s: cid of connector-1 in room:1 (nobody ever joined)"}},
		{"somebody under a server that never was", state(room1("ann"), pair{"room:1", "ann", "nobody"}),
			[]string{"ghost on s: ann of nobody in room:1 (nobody ever joined)"}},
		{"both at once, missing first", state(room1("bob")), []string{
			"missing on s: ann of connector-1 in room:1 (join, operation 1 of life 1, acknowledged at 1.0 s)",
			"ghost on s: bob of connector-1 in room:1 (leave, operation 3 of life 1, acknowledged at 3.0 s)"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, words(tr.check("s", tt.state))); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTruth_MembersOfAnEndedLifeAreGhosts(t *testing.T) {
	tr := newTruth()
	tr.begin(sid1, 0)
	story(t, tr, sid1,
		operation{Kind: join, UID: "ann", Outcome: acknowledged},
		operation{Kind: join, UID: "bob", Outcome: unknown})
	tr.begin("connector-2", 0)
	story(t, tr, "connector-2", operation{Kind: join, UID: "eve", Outcome: acknowledged})
	tr.begin(sid1, 5*time.Second)
	eve := pair{"room:1", "eve", "connector-2"}

	if got := tr.check("s", state(eve)); len(got) != 0 {
		t.Errorf("after the purge: %v, want nothing: another server's members stay, and nothing else", words(got))
	}
	want := []string{
		"ghost on s: ann of connector-1 in room:1 (its server's life 1 ended at 5.0 s, and it did not join again)",
		"ghost on s: bob of connector-1 in room:1 (its server's life 1 ended at 5.0 s, and it did not join again)",
	}
	if diff := cmp.Diff(want, words(tr.check("s", state(eve, room1("ann"), room1("bob"))))); diff != "" {
		t.Errorf("not purged (-want +got):\n%s", diff)
	}

	story(t, tr, sid1, operation{Kind: join, UID: "ann", Outcome: acknowledged})
	if got := tr.check("s", state(eve, room1("ann"))); len(got) != 0 {
		t.Errorf("joined again in life 2: %v, want nothing", words(got))
	}
}

func TestTruth_UnknownOutcomesAreOpenUntilSettled(t *testing.T) {
	here, gone := state(room1("ann")), state()
	tests := []struct {
		name               string
		ops                []operation
		mayBeIn, mayBeGone bool
	}{
		{"join unknown", []operation{{Kind: join, Outcome: unknown}}, true, true},
		{"leave unknown", []operation{{Kind: join, Outcome: acknowledged}, {Kind: leave, Outcome: unknown}}, true, true},
		{"again unknown", []operation{{Kind: join, Outcome: unknown}, {Kind: leave, Outcome: unknown}}, true, true},
		{"a repeated join cannot remove", []operation{{Kind: join, Outcome: acknowledged}, {Kind: join, Outcome: unknown}}, true, false},
		{"a repeated leave cannot add", []operation{{Kind: leave, Outcome: unknown}}, false, true},
		{"settled by a join", []operation{{Kind: leave, Outcome: unknown}, {Kind: join, Outcome: acknowledged}}, true, false},
		{"settled by a leave", []operation{{Kind: join, Outcome: unknown}, {Kind: leave, Outcome: acknowledged}}, false, true},
		{"a refusal settles nothing", []operation{{Kind: join, Outcome: unknown}, {Kind: leave, Outcome: rejected}}, true, true},
		{"a refusal changes nothing", []operation{{Kind: join, Outcome: acknowledged}, {Kind: leave, Outcome: rejected}}, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := newTruth()
			tr.begin(sid1, 0)
			for i := range tt.ops {
				tt.ops[i].UID = "ann"
			}
			story(t, tr, sid1, tt.ops...)
			if got := len(tr.check("s", here)) == 0; got != tt.mayBeIn {
				t.Errorf("member accepted: %v, want %v", got, tt.mayBeIn)
			}
			if got := len(tr.check("s", gone)) == 0; got != tt.mayBeGone {
				t.Errorf("absence accepted: %v, want %v", got, tt.mayBeGone)
			}
		})
	}
}

func TestTruth_RefusesAReportWithAGap(t *testing.T) {
	tr := newTruth()
	if err := tr.record(sid1, operation{Seq: 1, Kind: join, Outcome: acknowledged}); err == nil {
		t.Error("an operation before the life began was accepted")
	}
	tr.begin(sid1, 0)
	story(t, tr, sid1, operation{Kind: join, UID: "ann", Outcome: acknowledged})
	err := tr.record(sid1, operation{Seq: 3, Kind: join, Outcome: acknowledged})
	if err == nil || !strings.Contains(err.Error(), "operation 3 of connector-1") {
		t.Errorf("error = %v, want one that names operation 3 of connector-1", err)
	}
	if tr.complete(sid1, 1) != nil || tr.complete(sid1, 2) == nil {
		t.Error("1 operation was recorded, and that is not what complete says")
	}
	if err := tr.record(sid1, operation{Seq: 2, Outcome: "done"}); err == nil {
		t.Error("an outcome nobody knows was accepted")
	}
}

func TestTruth_CountsPairsOnceHoweverManyServersLackThem(t *testing.T) {
	tr := newTruth()
	tr.begin(sid1, 0)
	story(t, tr, sid1, operation{Kind: join, UID: "ann", Outcome: acknowledged})
	found := append(tr.check("a", state(room1("zoe"))), tr.check("b", state())...)
	want := []string{
		"missing on a, b: ann of connector-1 in room:1 (join, operation 1 of life 1, acknowledged at 1.0 s)",
		"ghost on a: zoe of connector-1 in room:1 (nobody ever joined)",
	}
	if diff := cmp.Diff(want, words(merged(found))); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}
