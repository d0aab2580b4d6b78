package demo

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func to(uid string) delivery { return delivery{UID: uid, SID: sid1} }

func TestDeliveries_FindsWhatWasNeitherMadeNorReported(t *testing.T) {
	ann := claim{Msg: "m", At: 5 * time.Second, Made: []delivery{to("ann")}}
	got := []receipt{{Msg: "m", UIDs: []string{"ann"}}}
	for name, tt := range map[string]struct {
		story func(d *deliveries)
		sums  deliverySums
		want  []string
	}{
		"made":               {func(d *deliveries) { d.claim(ann); d.receive(sid1, got) }, deliverySums{made: 1}, nil},
		"received first":     {func(d *deliveries) { d.receive(sid1, got); d.claim(ann) }, deliverySums{made: 1}, nil},
		"reported":           {func(d *deliveries) { d.claim(claim{Msg: "m", NotMade: 2}) }, deliverySums{notMade: 2}, nil},
		"killed since":       {func(d *deliveries) { d.claim(ann); d.killed(sid1, 6*time.Second) }, deliverySums{open: 1}, nil},
		"not owed, received": {func(d *deliveries) { d.receive(sid1, got) }, deliverySums{}, nil},
		"never handed over": {
			func(d *deliveries) { d.claim(ann) }, deliverySums{},
			[]string{"missed on connector-1: m to ann at 5.0 s (delivered)"},
		},
		"killed before": {
			func(d *deliveries) { d.killed(sid1, 4*time.Second); d.claim(ann) }, deliverySums{},
			[]string{"missed on connector-1: m to ann at 5.0 s (delivered)"},
		},
		"handed over elsewhere": {
			func(d *deliveries) { d.claim(ann); d.receive("connector-2", got) }, deliverySums{},
			[]string{"missed on connector-1: m to ann at 5.0 s (delivered)"},
		},
		"not in the report": {
			func(d *deliveries) { d.claim(claim{Msg: "m", Missed: []delivery{to("ann")}}) }, deliverySums{},
			[]string{"missed on connector-1: m to ann at 0.0 s (nothing of him)"},
		},
		"twice": {
			func(d *deliveries) { d.claim(ann); d.receive(sid1, append(got, got...)) }, deliverySums{made: 1},
			[]string{"twice on connector-1: m to ann (2 times)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDeliveries()
			tt.story(d)
			sums, misses := d.check()
			var words []string
			for _, m := range misses {
				words = append(words, m.String())
			}
			if sums != tt.sums {
				t.Errorf("sums %+v, want %+v", sums, tt.sums)
			}
			if diff := cmp.Diff(tt.want, words); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What the children say reaches the verdict.
func TestRun_AMissedDeliveryIsAFailure(t *testing.T) {
	r, text := newTestRun(t)
	r.hears(0, report{Owed: &claim{Msg: "1", At: r.now(), Made: []delivery{to("ann"), {UID: "bob", SID: "connector-2"}}, NotMade: 3}})
	r.hears(0, report{Handed: []receipt{{Msg: "1", UIDs: []string{"ann"}}}})
	if err := r.deliveriesLine(); err == nil || !strings.Contains(text.String(), "missed on connector-2: 1 to bob") {
		t.Errorf("error %v, and bob is missing:\n%s", err, text)
	}
	r.hears(1, report{Handed: []receipt{{Msg: "1", UIDs: []string{"bob"}}}})
	if err := r.deliveriesLine(); err != nil || !strings.Contains(text.String(), "5 deliveries owed: 2 made, 3 reported as not made,") {
		t.Errorf("error %v, and nobody is missing:\n%s", err, text)
	}
}

// What the handler of a killed server was handed at the end nobody can tell.
func TestRun_TheKilledTakeTheirReceiptsAlong(t *testing.T) {
	r, _ := newTestRun(t)
	r.hears(0, report{Owed: &claim{Msg: "1", At: r.now(), Made: []delivery{{UID: "bob", SID: "connector-2"}}}})
	r.handle(event{proc: r.servers[1].proc, end: &end{killed: true}})
	if err := r.deliveriesLine(); err != nil {
		t.Error(err)
	}
}
