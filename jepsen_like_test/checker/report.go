package checker

import (
	"fmt"
	"strings"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// Kind of a violation.
type Kind string

// The kinds. Each names what a player or an operator would see.
const (
	Lost        Kind = "lost"        // an acknowledged member is missing
	Resurrected Kind = "resurrected" // a member that had left, or whose server's life is over, is there
	Phantom     Kind = "phantom"     // a member that nobody added, or whose add was refused
	Duplicate   Kind = "duplicate"   // one member listed twice
	Behind      Kind = "behind"      // an answer older than was asked for
	Torn        Kind = "torn"        // an answer that is the state at no index
	Order       Kind = "order"       // a write took effect before one that had been acknowledged earlier
	Fence       Kind = "fence"       // a write for, or by, one life was acknowledged outside of it
	Diverged    Kind = "diverged"    // two replicas differ at one index

	NotLinearizable Kind = "not linearizable" // no order in real time explains what was told
	Undecided       Kind = "undecided"        // the search for such an order took too long
	Twice           Kind = "twice"            // a push handed over, or meant for somebody, twice
	Altered         Kind = "altered"          // what was handed over is not what was pushed
	Overtaken       Kind = "overtaken"        // a push handed over after one that was called when it had returned
	Misreported     Kind = "misreported"      // a push's report says what did not happen

	Once Kind = "once" // a write took effect twice, late or not at all, by the answers of its worker's next ones
)

// Violation is one broken promise.
type Violation struct {
	Kind Kind
	Op   int // the operation that shows it; 0: a note
	Text string
}

func (v Violation) String() string {
	if v.Op == 0 {
		return fmt.Sprintf("%s: %s", v.Kind, v.Text)
	}
	return fmt.Sprintf("%s: operation %d: %s", v.Kind, v.Op, v.Text)
}

// Report is the verdict on one history, with the counts that say whether it was
// worth judging.
type Report struct {
	Adds, Leaves, Reads int // acknowledged
	Failed, Unknown     int
	Lives               int // seen, of all servers
	Ended               int // lives that were followed by another one of the same server
	Resumed             int // of those: by one of the same process
	Decided             int // times that a read could show one state of an element only
	Purged              int // of those: members that must be gone because their server's life is over
	Replicas            int // observations of a replica's state
	Violations          []Violation
}

func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d adds, %d leaves, %d reads acknowledged; %d failed, %d unknown; %d lives, %d of them ended, %d were resumed; %d memberships (%d of ended lives) and %d replica states checked; %d violations",
		r.Adds, r.Leaves, r.Reads, r.Failed, r.Unknown, r.Lives, r.Ended, r.Resumed, r.Decided, r.Purged, r.Replicas, len(r.Violations))
	tell(&b, r.Violations)
	return b.String()
}

// tell writes the first of them.
func tell(b *strings.Builder, violations []Violation) {
	const most = 20
	for _, v := range violations[:min(len(violations), most)] {
		fmt.Fprintf(b, "\n  %v", v)
	}
	if more := len(violations) - most; more > 0 {
		fmt.Fprintf(b, "\n  and %d more", more)
	}
}

// Check judges a history. The error is about the history, not about the product:
// no verdict can be drawn from it.
func Check(events []history.Event) (Report, error) {
	ops, err := history.Operations(events)
	if err != nil {
		return Report{}, err
	}
	lives, err := readLives(events, ops)
	if err != nil {
		return Report{}, err
	}
	elements, err := gather(ops, lives)
	if err != nil {
		return Report{}, err
	}
	r := Report{Lives: lives.seen, Ended: lives.ended, Resumed: lives.resumed}
	r.count(ops)
	r.Violations = append(r.Violations, checkOrder(ops)...)
	r.Violations = append(r.Violations, checkFences(ops, lives)...)
	judge := newJudge(elements, lives, ops, events)
	for _, op := range ops {
		if op.F == history.Read && op.Type == history.OK {
			r.Violations = append(r.Violations, judge.read(op)...)
		}
	}
	r.Decided, r.Purged = judge.decided, judge.purged
	seen, diverged := checkReplicas(events)
	r.Replicas, r.Violations = seen, append(r.Violations, diverged...)
	return r, nil
}

func (r *Report) count(ops []history.Operation) {
	for _, op := range ops {
		switch {
		case op.Type == history.Fail:
			r.Failed++
		case op.Type == history.Unknown:
			r.Unknown++
		case op.F == history.Add:
			r.Adds++
		case op.F == history.Leave:
			r.Leaves++
		case op.F == history.Read:
			r.Reads++
		}
	}
}
