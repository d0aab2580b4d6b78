package cluster

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"
)

// changeTimeout bounds one change of the configuration. Raft goes on with it if it
// takes longer, and begins no other until it is through.
const changeTimeout = 5 * time.Second

// voting sees to it, while this node leads, that the right servers vote. Once a
// second it looks, and makes one change at most, and so many more as somebody who
// withdraws waits for; what they are, voters.go decides, from what the tally makes of
// all that is heard.
//
// Decision and change are one turn, which joins take too: the quorum that was
// counted is still that of the configuration that is changed.
type voting struct {
	self      Member
	ledger    *ledger
	consensus Consensus
	peers     Peers                    // for this server's own withdrawal
	answers   func() map[string]Answer // of the roll call
	members   func() []Member          // gossip's
	names     namer
	maxVoters func() int // nil: default
	timers    func() Timers
	turn      chan struct{} // shared with admission
	logger    *slog.Logger

	mu     sync.Mutex // guards what follows
	tally  *tally     // nil while this node does not lead
	wishes map[string]wish
	latest electorate    // as last seen
	round  chan struct{} // closed when lead has looked the next time
}

const defaultRemoveAfter = time.Hour

func newVoting(o Options, l *ledger, d *directory, answers func() map[string]Answer, turn chan struct{}, log *slog.Logger) *voting {
	return &voting{
		self: o.Self, ledger: l, consensus: o.Consensus, peers: o.Peers, answers: answers, members: d.members, names: namer{o.State.Lives, d.sid},
		maxVoters: o.MaxVoters, timers: o.Timers, turn: turn, logger: log,
		round: make(chan struct{}), wishes: make(map[string]wish),
	}
}

// lead works until ctx ends. What it knows of the servers dies with it: the next
// leader watches them anew.
func (v *voting) lead(ctx context.Context) {
	v.begin(newTally(v.self.NodeID))
	defer v.begin(nil)
	t := time.NewTicker(tallyPace)
	defer t.Stop()
	for {
		v.step(ctx) // one change a second, whatever the rules say: servers must not take turns at voting faster
		v.announce()
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

func (v *voting) begin(t *tally) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.tally, v.latest = t, electorate{}
	clear(v.wishes)
	v.announceLocked()
}

// step makes the next change, if there is one to make, and tells whether it did.
func (v *voting) step(ctx context.Context) (changed bool) {
	select {
	case v.turn <- struct{}{}:
		defer func() { <-v.turn }()
	case <-ctx.Done():
		return false
	}
	e, on, err := v.look()
	if err != nil || ctx.Err() != nil {
		return false
	}
	m := e.next()
	if m.kind == stay {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	if err := v.make(ctx, m, on); err != nil {
		v.logger.Debug("configuration not changed", "change", m.kind, "node_id", m.server.NodeID, "error", err)
		return false
	}
	v.logger.Info("configuration changed", "change", m.kind, "node_id", m.server.NodeID, "addr", m.server.Addr, "why", m.why)
	return true
}

// make changes what voters.go decided on a configuration.
func (v *voting) make(ctx context.Context, m move, on []Server) error {
	switch m.kind {
	case promote:
		m.server.Voter = true
		return v.consensus.AddVoter(ctx, m.server, on)
	case demote:
		return v.consensus.Demote(ctx, m.server.NodeID, on)
	case expel:
		return v.consensus.Remove(ctx, m.server.NodeID, on)
	default:
		return v.consensus.HandOver(ctx)
	}
}

// look takes stock of the servers; on is their configuration.
func (v *voting) look() (e electorate, on []Server, err error) {
	servers, err := v.consensus.Configuration()
	if err != nil {
		return electorate{}, nil, err
	}
	answers := v.answers()
	gossiped := make(map[string]bool)
	for _, m := range v.members() {
		gossiped[m.NodeID] = true
	}
	replaced := v.replaced(servers, answers)
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.tally == nil {
		return electorate{}, nil, errNotLeading
	}
	maps.DeleteFunc(v.wishes, func(_ string, w wish) bool { return now.Sub(w.asked) > wishKept })
	sightings := make([]sighting, len(servers))
	for i, s := range servers {
		sightings[i] = sighting{
			Server: s, answer: answers[s.NodeID], contact: v.consensus.Contact(s.NodeID),
			gossiped: gossiped[s.NodeID], replaced: replaced[s.NodeID],
		}
		if w, ok := v.wishes[s.NodeID]; ok {
			sightings[i].yields, sightings[i].leaves = !w.leave, w.leave
		}
	}
	v.tally.removeAfter = cmp.Or(v.timers().RemoveAfter, defaultRemoveAfter)
	least, most := v.bounds()
	standings := v.tally.look(now, v.consensus.LastIndex(), answers[v.self.NodeID].LastTerm, sightings)
	v.latest = electorate{servers: standings, least: least, most: most}
	return v.latest, servers, nil
}

// VoterBounds are of the number of voters: never fewer by our doing than founded the
// cluster, or three, and no more than the settings say.
func (c *Cluster) VoterBounds() (least, most int) { return c.voting.bounds() }

func (v *voting) bounds() (least, most int) {
	most = defaultVoters
	if v.maxVoters != nil && v.maxVoters() > 0 {
		most = v.maxVoters()
	}
	least = min(leastVoters, most)
	if n := v.ledger.founders(); n > 0 {
		least = min(least, n)
	}
	return least, most
}

// replaced are the servers that another one has come for. What a server said of
// itself in this term counts more than what it was called before.
func (v *voting) replaced(servers []Server, answers map[string]Answer) map[string]bool {
	replaced := make(map[string]bool)
	for _, s := range servers {
		sid := answers[s.NodeID].SID
		if sid == "" {
			sid = v.names.sid(s.NodeID)
		}
		replaced[s.NodeID] = v.names.replaced(s.NodeID, sid, servers)
	}
	return replaced
}

func (v *voting) announce() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.announceLocked()
}

func (v *voting) announceLocked() {
	close(v.round)
	v.round = make(chan struct{})
}

// rounds is closed when lead has looked, and changed what there was to change, the
// next time. Ask for it first, then look.
func (v *voting) rounds() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.round
}
