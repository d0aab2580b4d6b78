package node

import (
	"runtime/debug"

	"github.com/pofresh/globalchannel/cluster"
	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// rollCall answers who is here and how far: other servers, and this node itself
// while it leads and calls the roll.
type rollCall struct {
	node    *Node
	version string // of the binary

	// toldOver is called when the leader's state shows this process's own life over,
	// or of another epoch than it knows. Concurrently and repeatedly; it must not block.
	toldOver func(epoch uint64)
}

// answer tells about this node, about the life that req asks for in particular, and
// which of the leader's lives are here.
func (r *rollCall) answer(req *peerpb.PingRequest) *peerpb.PingResponse {
	n := r.node
	last, term := n.consensus.last()
	resp := &peerpb.PingResponse{
		NodeId: n.nodeID, Sid: n.cfg.SID, Incarnation: n.incarnation,
		ClusterId: n.store.Identity.Load().ClusterID,
		Applied:   n.replica.Index(), LastIndex: last, LastTerm: term,
		NonVoter: n.cfg.NonVoter, Durable: n.cfg.DataDir != "", Zone: n.cfg.Zone, Version: r.version, Level: fsm.Version,
	}
	resp.MayLead, resp.Problem = n.mayLead()
	if err := n.failure(); err != nil {
		resp.MayLead, resp.Problem = false, err.Error()
	}
	// A leader counts once the cluster is founded: before, lives would get epochs
	// of no generation.
	leads, _ := n.consensus.leadership()
	n.replica.Read(func(s fsm.Reads) { resp.Leader = leads && s.ClusterID() != "" })
	if sid := req.GetSid(); sid != "" && sid != n.cfg.SID {
		resp.Sid, resp.Incarnation = sid, n.frontends.lifeHere(sid)
	}
	for _, l := range req.GetLives() {
		resp.Alive = append(resp.Alive, r.alive(l))
	}
	return resp
}

// alive reports whether that very process is here and acts for its sid. Its epoch
// may be news to it: then its registration's answer was lost, or it was resumed.
func (r *rollCall) alive(l *peerpb.Life) bool {
	n := r.node
	if l.GetSid() != n.cfg.SID {
		return n.frontends.lifeHere(l.GetSid()) == l.GetIncarnation()
	}
	if l.GetIncarnation() != n.incarnation {
		return false
	}
	if epoch, _ := n.life.now(); r.toldOver != nil && epoch != 0 && (l.GetOver() || l.GetEpoch() != epoch) {
		r.toldOver(l.GetEpoch())
	}
	return n.failure() == nil
}

// local is answer for the leader's own questions.
func (r *rollCall) local(lives []cluster.Life) cluster.Answer {
	return answerFromProto(r.answer(&peerpb.PingRequest{Lives: livesToProto(lives)}), lives)
}

func livesToProto(lives []cluster.Life) []*peerpb.Life {
	out := make([]*peerpb.Life, len(lives))
	for i, l := range lives {
		out[i] = &peerpb.Life{Sid: l.SID, Incarnation: l.Incarnation, Epoch: l.Epoch, Over: !l.Up}
	}
	return out
}

// answerFromProto takes one from a binary that knows nothing of the question as
// yes where its node is the one of the life: it can't tell more, and must not be
// taken for dead while a fleet is being upgraded.
func answerFromProto(resp *peerpb.PingResponse, lives []cluster.Life) cluster.Answer {
	alive := resp.GetAlive()
	if len(alive) == 0 && resp.GetLevel() == 0 {
		for _, l := range lives {
			alive = append(alive, resp.GetNodeId() == l.NodeID && (l.Via != "" || resp.GetIncarnation() == l.Incarnation))
		}
	}
	return cluster.Answer{
		NodeID: resp.GetNodeId(), SID: resp.GetSid(), Incarnation: resp.GetIncarnation(), ClusterID: resp.GetClusterId(),
		Alive: alive, Applied: resp.GetApplied(), LastIndex: resp.GetLastIndex(), LastTerm: resp.GetLastTerm(),
		Level: resp.GetLevel(), NonVoter: resp.GetNonVoter(), Durable: resp.GetDurable(), MayLead: resp.GetMayLead(),
		Zone: resp.GetZone(), Version: resp.GetVersion(), Problem: resp.GetProblem(),
	}
}

const modulePath = "github.com/pofresh/globalchannel"

// binaryVersion is this module's, wherever it is built in.
func binaryVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	modules := append([]*debug.Module{&info.Main}, info.Deps...)
	for _, m := range modules {
		if m.Path == modulePath && m.Version != "" && m.Version != "(devel)" {
			return m.Version
		}
	}
	return "devel"
}
