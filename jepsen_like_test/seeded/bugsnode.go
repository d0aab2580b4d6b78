package seeded

import "github.com/pofresh/globalchannel/jepsen_like_test/checker"

// What is wrong in a server: on the way of a write, of a read, of a push, or on its disk.

var fencedBatchAgain = Bug{
	Name:  "a fenced batch sent again under the new origin",
	Wrong: "what was in flight when a life was ended is taken for undone, and may take effect twice",
	Edits: []Edit{{
		File: "node/succession.go",
		Old: `	for _, b := range batches {
		o.conclude(b, before)
	}`,
		New: `	if len(batches) > 0 && seeded.Bug("a fenced batch sent again under the new origin") {
		for _, b := range slices.Backward(batches) {
			for _, c := range b.calls {
				c.taken = false
			}
			o.queue.pushFront(b.calls)
		}
		batches = nil
	}
	for _, b := range batches {
		o.conclude(b, before)
	}`,
	}},
	Hunts: []Hunt{scene("AnswerLostBeforeTheFence", checker.NotLinearizable)},
}

var lifeReadded = Bug{
	Name:  "a life restored by re-adding from the client side",
	Wrong: "a process whose life was ended adds its members again, those too whom somebody has removed meanwhile",
	Edits: []Edit{
		{ // what a host knows: who it put where
			File: "node/reads.go",
			Old: `func (r *reader) wrote(index uint64, ops ...fsm.Op) {
`,
			New: `func (r *reader) wrote(index uint64, ops ...fsm.Op) {
	if seeded.Active("a life restored by re-adding from the client side") {
		seededHostOf(r).wrote(r.node.cfg.SID, ops)
	}
`,
		},
		{
			File: "node/fenced.go",
			Old:  `	resp, err := n.life.register(n.ctx, resume)`,
			New: `	readd := seeded.Bug("a life restored by re-adding from the client side")
	if readd {
		resume = nil
	}
	resp, err := n.life.register(n.ctx, resume)`,
		},
		{
			File: "node/fenced.go",
			Old:  `	n.presence.ask()`,
			New: `	if readd {
		n.group.Go(func() { seededHostOf(n.reader).readd(n) })
	}
	n.presence.ask()`,
		},
		{
			File: "node/fenced.go",
			Old:  `// comeBack registers this process again.`,
			New: `// seededHosts are what the hosts know, by their node's *reader.
var seededHosts sync.Map

type seededHost struct {
	mu      sync.Mutex
	members map[seededMember]uint64 // what session each holds
}

type seededMember struct{ name, uid string }

func seededHostOf(r *reader) *seededHost {
	h, _ := seededHosts.LoadOrStore(r, &seededHost{members: make(map[seededMember]uint64)})
	return h.(*seededHost)
}

func (h *seededHost) wrote(self string, ops []fsm.Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, op := range ops {
		m := seededMember{op.Name, op.UID}
		switch {
		case op.Kind == fsmpb.OpKind_OP_DESTROY:
			maps.DeleteFunc(h.members, func(o seededMember, _ uint64) bool { return o.name == op.Name })
		case op.Kind == fsmpb.OpKind_OP_DESTROY_ALL:
			clear(h.members)
		case op.SID != self:
		case op.Kind == fsmpb.OpKind_OP_ADD:
			h.members[m] = op.Session
		case op.Kind == fsmpb.OpKind_OP_LEAVE:
			delete(h.members, m)
		case op.Kind == fsmpb.OpKind_OP_LEAVE_ALL:
			maps.DeleteFunc(h.members, func(o seededMember, _ uint64) bool { return o.uid == op.UID })
		}
	}
}

func (h *seededHost) readd(n *Node) {
	h.mu.Lock()
	members := maps.Clone(h.members)
	h.mu.Unlock()
	for m, session := range members {
		_, _ = n.Apply(n.ctx, Op{Kind: OpAdd, Name: m.name, UID: m.uid, SID: n.cfg.SID, Session: session})
	}
}

// comeBack registers this process again.`,
		},
		{
			File: "node/fenced.go",
			Old: `	"fmt"

	"google.golang.org/protobuf/proto"
`,
			New: `	"fmt"
	"maps"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm"`,
		},
	},
	Hunts: []Hunt{
		scene("RemovedWhileAway", checker.Resurrected),
		sim("set", "isolate-follower,isolate-replica,isolate-leader", checker.Lost, checker.Resurrected), // those whom others had added are not there again
	},
}

var earlyAnswer = Bug{
	Name:  "acknowledge before commit",
	Wrong: "a leader answers writes once they are in its own log, and before a majority has them",
	Edits: []Edit{
		{
			File: "node/commit.go",
			Old:  `	result, d, err := c.consensus.propose(ctx, entry)`,
			New: `	if early, ok := c.seededEarly(ctx, entry); ok {
		return early, peerpb.Disposition_DISPOSITION_APPLIED, nil
	}
	result, d, err := c.consensus.propose(ctx, entry)`,
		},
		{
			File: "node/commit.go",
			Old:  `	caughtUp atomic.Uint64 // the term in which this node has applied all of the terms before`,
			New: `	caughtUp atomic.Uint64 // the term in which this node has applied all of the terms before

	early chan struct{} // closed when the last entry that was answered early is through; the desk's alone`,
		},
		{
			File: "node/commit.go",
			Old:  `// lifeSign is what a probe found out about a life.`,
			New: `// seededEarly proposes an entry and gives its answer as soon as it is in this node's
// log. What the answer will be follows from the state, once all before is applied.
func (c *committer) seededEarly(ctx context.Context, entry []byte) (fsm.Result, bool) {
	if !seeded.Active("acknowledge before commit") || !fsm.SeededBatches(entry) {
		return fsm.Result{}, false
	}
	if c.early != nil && !await(ctx, c.early) {
		return fsm.Result{}, false
	}
	c.early = nil
	r := c.consensus.raft
	foreseen, ok := c.replica.SeededForesee(entry)
	if !ok || r.State() != raft.Leader || !seeded.Bug("acknowledge before commit") {
		return fsm.Result{}, false
	}
	before, through := r.LastIndex(), make(chan struct{})
	c.early = through
	go func() {
		defer close(through)
		ctx, cancel := context.WithTimeout(context.Background(), proposalTimeout)
		defer cancel()
		_, _, _ = c.consensus.propose(ctx, entry)
	}()
	t := time.NewTicker(time.Millisecond)
	defer t.Stop()
	for r.LastIndex() == before {
		select {
		case <-t.C:
		case <-through:
			c.early = nil
			return fsm.Result{}, false // it is sent again, and answered as a repetition
		case <-ctx.Done():
			return fsm.Result{}, false
		}
	}
	foreseen.Index = before + 1
	for i := range foreseen.Batches {
		if foreseen.Batches[i].Index == 0 {
			foreseen.Batches[i].Index = foreseen.Index
		}
	}
	return foreseen, true
}

// lifeSign is what a probe found out about a life.`,
		},
		{
			File: "node/commit.go",
			Old: `	"time"

	"google.golang.org/grpc/codes"`,
			New: `	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc/codes"`,
		},
		{
			File: "fsm/apply_group.go",
			Old:  `func validMember(o *op) bool {`,
			New: `// SeededBatches says that an entry holds batches, and at least one.
func SeededBatches(entry []byte) bool {
	var d decoder
	d.keep = true
	c, err := d.command(entry)
	return err == nil && c.other == nil && len(c.batches) > 0
}

// SeededForesee says what a State would answer to an entry of batches. ok is false where
// it can't tell.
func (r *Replica) SeededForesee(entry []byte) (_ Result, ok bool) {
	var d decoder
	d.keep = true
	c, err := d.command(entry)
	if err != nil || c.other != nil {
		return Result{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.state
	if s.halted != nil {
		return Result{}, false
	}
	book := newDraft(s)
	numbers := make(map[*server]uint64)
	var result Result
	for i := range c.batches {
		b := &c.batches[i]
		origin := s.servers[string(b.originSID)]
		if origin == nil || origin.Epoch != b.originEpoch || !origin.Up || b.number == 0 {
			return Result{}, false
		}
		last := max(origin.lastNumber, numbers[origin])
		switch {
		case b.number <= origin.lastNumber:
			result.Batches = append(result.Batches, origin.repeated(b.number))
			continue
		case b.number != last+1:
			return Result{}, false
		}
		numbers[origin] = b.number
		var results []byte
		for j := range b.groups {
			if results, ok = s.seededForesee(book, c.version, &b.groups[j], results); !ok {
				return Result{}, false
			}
		}
		result.Batches = append(result.Batches, BatchResult{Outcome: BatchApplied, Results: results})
	}
	return result, true
}

func (s *State) seededForesee(book *draft, version uint32, g *group, results []byte) (_ []byte, ok bool) {
	r := run{state: s, version: version, seen: g.seen, alone: len(g.ops) == 1}
	for i := range g.ops {
		switch o := &g.ops[i]; o.kind {
		case fsmpb.OpKind_OP_ADD, fsmpb.OpKind_OP_LEAVE, fsmpb.OpKind_OP_LEAVE_ALL:
			s.locate(&o.place)
		default:
			return nil, false
		}
	}
	if !r.alone {
		if i, code := r.refusal(g.ops); code != 0 {
			return append(results, aborted(len(g.ops), i, code)...), true
		}
	}
	for i := range g.ops {
		o := &g.ops[i]
		held := o.kind != fsmpb.OpKind_OP_LEAVE_ALL || book.holds(&o.place)
		if result := r.do(book, o, r.verdict(o)); result == OpChanged && !held {
			results = append(results, OpUnchanged)
		} else {
			results = append(results, result)
		}
	}
	return results, true
}

func validMember(o *op) bool {`,
		},
	},
	Hunts: []Hunt{
		scene("LeaderCutOff", checker.NotLinearizable),
		sim("register", "isolate-leader,leader-with-replicas,halves,leader-cannot-send", checker.NotLinearizable),
	},
}

var localRead = Bug{
	Name:  "a local read sold as linearizable",
	Wrong: "a linearizable read shows what this server has, without asking the leader",
	Edits: []Edit{{
		File: "node/reads.go",
		Old: `	case readLinearizable:
		return r.linearizable(ctx)`,
		New: `	case readLinearizable:
		if seeded.Bug("a local read sold as linearizable") {
			return nil
		}
		return r.linearizable(ctx)`,
	}},
	Hunts: []Hunt{
		sim("register", "network", checker.NotLinearizable),
		root("^TestLinear_Paused$", checker.NotLinearizable),
	},
}

var wipedVoter = Bug{
	Name:  "a wiped voter that keeps its id",
	Wrong: "a voter that has lost its disk comes back under the id that promised and voted",
	Edits: []Edit{{
		File: "node/internal/disk/identity.go",
		Old:  `	if kind != BoltDB {`,
		New: `	if seeded.Bug("a wiped voter that keeps its id") {
		id.NodeID = uuid.NewSHA1(uuid.NameSpaceOID, []byte(sid)).String()
	}
	if kind != BoltDB {`,
	}},
	Hunts: []Hunt{scene("VoterWithoutItsDisk", checker.NotLinearizable)},
}

var pushWithoutID = Bug{
	Name:  "a push resent without its id",
	Wrong: "a push whose answer was lost with its connection is sent again as a new one, and handed over twice",
	Edits: []Edit{{
		File: "node/internal/delivery/stream.go",
		Old: `	for _, p := range l.sortedOpen() {
		switch unseen := p.number > w.GetLast(); {`,
		New: `	again := false // the numbers stay in order
	for _, p := range l.sortedOpen() {
		if w.GetKnown() && l.barren <= maxBarren && (again || p.number <= w.GetLast() && seeded.Bug("a push resent without its id")) {
			again = true
			delete(l.open, p.number)
			l.number++
			p.number = l.number
			l.open[p.number] = p
			l.resend = append(l.resend, p)
			continue
		}
		switch unseen := p.number > w.GetLast(); {`,
	}},
	Hunts: []Hunt{far("push", "network", checker.Twice)},
}

// It was in the product once, and a simulated run of register under network and members
// found it.
var carriedIsRejected = Bug{
	Name:  "a removal that a resume takes along is told rejected",
	Wrong: "who is told that his Leave had no effect finds the member gone",
	Edits: []Edit{{
		File: "node/succession.go",
		Old:  `		case g.sid != "" && g.sid == o.sid && o.carries:`,
		New:  `		case g.sid != "" && g.sid == o.sid && o.carries && !seeded.Bug("a removal that a resume takes along is told rejected"):`,
	}},
	Hunts: []Hunt{leaving()},
}
