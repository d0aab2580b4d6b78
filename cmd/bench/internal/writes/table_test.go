package writes

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/pofresh/globalchannel/cmd/bench/internal/fleet"
	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
	"github.com/pofresh/globalchannel/cmd/bench/internal/stats"
)

func TestTable_ShowsErrorsAndElections(t *testing.T) {
	d := Document{Rows: []RowFigures{
		{Case: Case{System: "node", Store: "wal", Place: onLeader, Call: callWrite, Outstanding: 50}, Errors: 3, Error: "overloaded", Elections: 2},
		{Case: Case{System: "redis", Call: callWrite, Outstanding: 50}},
	}, Spreads: map[string]stats.Spread{"follower_vs_leader": {Median: 0.9, Min: 0.8, Max: 1}}}
	var out bytes.Buffer
	if err := printTable(&out, d); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"NODE WAL", "REDIS", "3 ERRORS: overloaded", "2 elections", "follower_vs_leader", "0.90 [0.80..1.00]"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestJSON_HasRowsAndMeasuresAlsoWhenEmpty(t *testing.T) {
	var out bytes.Buffer
	b := &bench{options: defaults(), space: testSpace(t)}
	if err := report.PrintJSON(&out, b.document(0)); err != nil {
		t.Fatal(err)
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if string(got["rows"]) != "[]" || string(got["measures"]) != "{}" {
		t.Errorf("got rows %s and measures %s, want an empty list and object", got["rows"], got["measures"])
	}
}

func testSpace(t *testing.T) *fleet.Workspace {
	t.Helper()
	space, err := fleet.NewWorkspace(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := space.Close(); err != nil {
			t.Error(err)
		}
	})
	return space
}
