package trial

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/workload"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// paper is a cluster of statuses: nothing behind it can break but what a test breaks.
type paper struct {
	term, epoch uint64
	states      map[string]string
	stuck       bool // servers that were killed do not come back
	unmoved     bool // kills are no kills
	still       bool // leadership does not move
	mute        bool // writes fail
	down        map[string]bool
	forgotten   bool // v3 is not shown any more, once somebody was killed
	haunted     bool // somebody is shown who is not there, once somebody was killed
	verdict     Verdict
}

func newPaper() *paper {
	return &paper{term: 1, epoch: 1, states: map[string]string{"v1": "x", "v2": "x", "v3": "x"}, down: make(map[string]bool), verdict: Verdict{Checked: 1000, Writes: 500}}
}

func (p *paper) Voters() []string    { return []string{"v1", "v2", "v3"} }
func (p *paper) NonVoters() []string { return nil }

func (p *paper) Status(_ context.Context, sid string) (*pb.StatusResponse, error) {
	if p.down[sid] {
		return nil, errors.New(sid + " is down")
	}
	return &pb.StatusResponse{Sid: sid, Term: p.term, Leader: "v1", Applied: 7, StateHash: p.states[sid], Epoch: p.epoch, Ready: true}, nil
}

func (p *paper) Transfer(context.Context, string) error {
	if !p.still {
		p.term++
	}
	return nil
}

func (p *paper) Kill(sids ...string) error {
	for _, sid := range sids {
		p.down[sid] = !p.unmoved
	}
	return nil
}

func (p *paper) Start(_ context.Context, sids ...string) error {
	for _, sid := range sids {
		p.down[sid] = p.stuck
	}
	if !p.unmoved {
		p.epoch++
	}
	return nil
}

func (p *paper) Ready(ctx context.Context, sids ...string) error {
	for _, sid := range sids {
		if p.down[sid] {
			<-ctx.Done()
			return errors.New(sid + " is down")
		}
	}
	return nil
}

func (p *paper) End(context.Context, ...string) error { return nil }

func (p *paper) Lives(context.Context, string) (map[string]uint64, error) {
	lives := map[string]uint64{"v1": p.epoch, "v2": p.epoch, "v3": p.epoch}
	if p.forgotten && p.epoch > 1 {
		delete(lives, "v3")
	}
	if p.haunted && p.epoch > 1 {
		lives["guest"] = 1
	}
	return lives, nil
}

func (p *paper) Write(context.Context, ...string) error {
	if p.mute {
		return errors.New("no")
	}
	return nil
}

func (p *paper) Target(string) workload.Server { return nil }
func (p *paper) Pushes() workload.Pushes       { return workload.Pushes{} }

func (p *paper) Replicas(ctx context.Context) (list []*pb.StatusResponse, err error) {
	for _, sid := range p.Voters() {
		st, err := p.Status(ctx, sid)
		if err != nil {
			return nil, err
		}
		list = append(list, st)
	}
	return list, nil
}

func (p *paper) Run(ctx context.Context)                { <-ctx.Done() }
func (p *paper) ReadAll(context.Context, uint64) error  { return nil }
func (p *paper) Check([]history.Event) (Verdict, error) { return p.verdict, nil }

func ran(t *testing.T, p *paper, nemeses ...string) (r *Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := history.NewRecorder()
		judge, err := run(t.Context(), Spec{Nemeses: nemeses, Seed: 1, Time: 5 * time.Minute}, p, p, h)
		if err != nil {
			t.Fatal(err)
		}
		r = judge()
	})
	return r
}

func TestRun_CountsWhatItSaw(t *testing.T) {
	r := ran(t, newPaper(), "kill-follower", "transfer-storm")
	if len(r.Violations) > 0 || !r.Valid() || r.Seen() < 10 || r.Leaders < 10 || r.Terms < 10 || r.Lived < 5*time.Minute || r.Checked != 1000 {
		t.Errorf("%v", r)
	}
}

func TestRun_DoesNotCountWithoutFaultsOrWork(t *testing.T) {
	for name, change := range map[string]func(*paper){
		"faults that left no trace": func(p *paper) { p.still = true },
		"little work":               func(p *paper) { p.verdict.Writes = 100 },
	} {
		p := newPaper()
		change(p)
		if r := ran(t, p, "transfer-storm"); r.Valid() || len(r.Violations) > 0 {
			t.Errorf("%s: %v", name, r)
		}
	}
}

func TestRun_FindsWhatNoCheckerSees(t *testing.T) {
	for name, change := range map[string]func(*paper){
		"a server that does not come back": func(p *paper) { p.stuck = true },
		"replicas that tell no state":      func(p *paper) { p.states["v2"] = "" },
		"kills that are none":              func(p *paper) { p.unmoved = true },
		"writes that fail":                 func(p *paper) { p.mute = true },
		"a life that is not shown":         func(p *paper) { p.forgotten = true },
		"a life of nobody":                 func(p *paper) { p.haunted = true },
		"what the checker found": func(p *paper) {
			p.verdict.Violations = []checker.Violation{{Kind: checker.Lost, Text: "somebody"}}
		},
	} {
		p := newPaper()
		change(p)
		if r := ran(t, p, "kill-follower"); len(r.Violations) == 0 {
			t.Errorf("%s: %v", name, r)
		}
	}
}

// A run that failed can be understood, and run again, from what it left.
func TestResult_KeepsWhatARepeatNeeds(t *testing.T) {
	dir := t.TempDir()
	want := Spec{Simulated: true, Workload: "register", Nemeses: []string{"network", "wiped"}, Often: true, Calm: 3, Latency: time.Millisecond, Seed: 9, Time: time.Minute}
	h := history.NewRecorder()
	c := h.Invoke(history.Event{F: history.Add})
	h.Note(history.Event{F: history.Hurt, Text: "<wiped>"})
	c.Done(history.OK, nil)
	h.Note(history.Event{F: history.Mended, Text: "wiped: seen"})
	r := &Result{Spec: want}
	if err := r.Keep(dir, h.Events(), map[string]string{"v1": "log"}); err != nil {
		t.Fatal(err)
	}
	got, err := SpecIn(dir)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	command, err := os.ReadFile(filepath.Join(dir, "repeat.txt"))
	for _, part := range []string{"run -sim -snapshots-often -calm 3 -latency 1ms ", "-workload register", "-nemesis network,wiped", "-seed 9", "-time 1m0s"} {
		if err != nil || !strings.Contains(string(command), part) {
			t.Errorf("%v: %q has no %q", err, command, part)
		}
	}
	picture, err := os.ReadFile(filepath.Join(dir, "timeline.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if dots := drawn(t, string(picture)); dots < 5 {
		t.Errorf("%d rectangles in %s", dots, picture)
	}
}

// drawn counts the rectangles of a picture that must be well formed.
func drawn(t *testing.T, svg string) (rects int) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return rects
		}
		if err != nil {
			t.Fatal(fmt.Errorf("%w in %s", err, svg))
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			rects++
		}
	}
}
