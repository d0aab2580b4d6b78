package writes

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOptions_CasesAreEachOnce(t *testing.T) {
	o := everything()
	seen := make(map[Case]bool)
	for _, s := range o.systems() {
		for _, k := range o.cases(s) {
			if seen[k] {
				t.Errorf("%v is there twice", k)
			}
			seen[k] = true
		}
	}
	for _, k := range []Case{
		{"node", "boltdb", onLeader, callWrite, 1},
		{"node", "wal", onFollower, callWrite, 10_000},
		{"node", "wal", onLeader, callApply, 8},
		{"redis", "", "", callWrite, 10_000},
		{"raft", "boltdb", onLeader, callEntry, 1000},
	} {
		if !seen[k] {
			t.Errorf("%v is missing", k)
		}
	}
	if k := (Case{"raft", "boltdb", onLeader, callEntry, 10_000}); seen[k] {
		t.Errorf("%v is measured", k)
	}
}

func TestOptions_WithoutFlagsOnlyNodes(t *testing.T) {
	for _, s := range defaults().systems() {
		if s.Name != "node" {
			t.Errorf("%s is measured", s.Name)
		}
	}
}

func TestTurn_Alternates(t *testing.T) {
	all := everything().systems()
	if got := turn(all, 0); !slices.Equal(got, all) {
		t.Errorf("first turn: got %v, want %v", got, all)
	}
	if got, want := turn(all, 1)[0], all[len(all)-1]; got != want {
		t.Errorf("second turn begins with %v, want %v", got, want)
	}
	if got := turn(all, 2); !slices.Equal(got, all) {
		t.Errorf("third turn: got %v, want %v", got, all)
	}
}

func TestOptions_ValidateNamesTheFlag(t *testing.T) {
	if err := defaults().validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	for flag, change := range map[string]func(*Options){
		"--stores":      func(o *Options) { o.Stores = []string{"bolt"} },
		"--stores ":     func(o *Options) { o.Stores = nil },
		"--stores  ":    func(o *Options) { o.Stores = []string{"wal", "wal"} },
		"--outstanding": func(o *Options) { o.Outstanding = []int{0} },
		"--outstanding ": func(o *Options) {
			o.Outstanding = []int{mostOutstanding + 1}
		},
		"--outstanding  ": func(o *Options) { o.Outstanding = []int{1, 1} },
		"--runs":          func(o *Options) { o.Runs = 0 },
		"--duration":      func(o *Options) { o.Duration = 0 },
		"--warm-up":       func(o *Options) { o.WarmUp = -time.Second },
		"--kills":         func(o *Options) { o.Kills = -1 },
		"--redis-pool":    func(o *Options) { o.Pool = -1 },
	} {
		o := defaults()
		change(&o)
		if err := o.validate(); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(flag)) {
			t.Errorf("got %v, want an error that names %s", err, flag)
		}
	}
}
