package demo

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

// judged is a run that ended, with one server that remembers ann.
func judged(t *testing.T, members map[pair]struct{}, disagreed error) (string, error) {
	t.Helper()
	var text bytes.Buffer
	r := &run{truth: newTruth(), pushes: newDeliveries(), servers: []*server{{assignment: assignment{SID: sid1}}}}
	r.out = &printer{w: &text, now: func() time.Duration { return 15 * time.Second }}
	r.truth.begin(sid1, 0)
	story(t, r.truth, sid1, operation{Kind: join, UID: "ann", Outcome: acknowledged})
	a := &auditor{witnesses: []*witness{{sid: sid1, applied: 12345, hash: "0123456789abcdef", members: members}}}
	err := r.verdict(r.compare(a), disagreed)
	return text.String(), err
}

func TestVerdict_FailsForAnythingButTheTruth(t *testing.T) {
	tests := []struct {
		name      string
		members   map[pair]struct{}
		disagreed error
		fails     bool
		says      []string
	}{
		{"all well", state(room1("ann")), nil, false, []string{"12,345  0123456789ab ", "\n0 lost, 0 ghosts: 1 write acknowledged, 1 membership checked on 1 server, 0 leader changes\n"}},
		{"planted loss", state(), nil, true, []string{"missing on connector-1: ann of connector-1 in room:1", "\n1 lost, 0 ghosts"}},
		{"planted ghost", state(room1("ann"), room1("zoe")), nil, true, []string{"ghost on connector-1: zoe", "\n0 lost, 1 ghost:"}},
		{"other hash", state(room1("ann")), errors.New("no agreement"), true, []string{"STATES DIFFER"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, err := judged(t, tt.members, tt.disagreed)
			if (err != nil) != tt.fails {
				t.Errorf("error = %v, want one: %v", err, tt.fails)
			}
			for _, want := range tt.says {
				if !strings.Contains(text, want) {
					t.Errorf("output lacks %q:\n%s", want, text)
				}
			}
		})
	}
}

func TestCount_GroupsThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := count(n); got != want {
			t.Errorf("count(%d) = %q, want %q", n, got, want)
		}
	}
}
