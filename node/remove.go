package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pofresh/globalchannel/cluster"
	"github.com/pofresh/globalchannel/fsm"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// RemoveServer takes a dead server, named by its sid or its node id, out of the Raft
// configuration and ends its life, so that its members are gone. It may be called on
// any node. A server that is still there is let go with Decommission instead.
//
// ErrRefused says in words what is dangerous: the server answers, fewer voters than
// the minimum would be left, or the rest could commit nothing. Each text has a sentence
// that, given in force, has it done all the same. The leader itself, and so the last
// voter, is never removed. ErrUnknownServer: there is nothing of such a server.
func (n *Node) RemoveServer(ctx context.Context, server string, force ...string) error {
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	_, err := (&operator{n}).removeServer(ctx, &pb.RemoveServerRequest{Server: server, Force: force})
	return err
}

func (o *operator) removeServer(ctx context.Context, r *pb.RemoveServerRequest) (*pb.RemoveServerResponse, error) {
	if err := checkText("server", r.GetServer(), maxSID); err != nil {
		return nil, err
	}
	return onLeader(ctx, o, r.GetPassedOn(), func() (*pb.RemoveServerResponse, error) {
		d, err := o.departure(r.GetServer())
		if err != nil {
			return nil, err
		}
		if err := o.consider(ctx, d, r.GetForce()); err != nil {
			return nil, err
		}
		return o.remove(ctx, d)
	}, func(leader pb.GlobalChannelClient) (*pb.RemoveServerResponse, error) {
		return leader.RemoveServer(ctx, &pb.RemoveServerRequest{Server: r.GetServer(), Force: r.GetForce(), PassedOn: true})
	})
}

// departure is a server that is to go, and the configuration that this was decided on.
type departure struct {
	nodeID  string
	name    string
	life    *fsm.Server // nil: it has none
	role    string      // "": not in the configuration
	addr    string
	servers []cluster.Server
}

// departure finds out who is meant.
func (o *operator) departure(server string) (*departure, error) {
	servers, err := o.node.consensus.Configuration()
	if err != nil {
		return nil, err
	}
	d := &departure{nodeID: server, servers: servers}
	known := slices.ContainsFunc(servers, func(s cluster.Server) bool { return s.NodeID == server })
	if !known {
		if d.nodeID, err = o.nodeOf(server); err != nil {
			return nil, err
		}
	}
	d.name = o.nameOf(d.nodeID)
	for _, s := range servers {
		if s.NodeID == d.nodeID {
			d.role, d.addr = "replica", o.node.addrOf(s)
			if s.Voter {
				d.role = "voter"
			}
		}
	}
	o.node.replica.Read(func(state fsm.Reads) {
		for _, s := range state.Servers() {
			if s.NodeID == d.nodeID && s.Via == "" {
				d.life, d.addr = &s, s.Addr
			}
		}
	})
	if d.role == "" && d.life == nil {
		return nil, fmt.Errorf("%w: %s is neither in the configuration nor alive", ErrUnknownServer, d.name)
	}
	return d, nil
}

// consider refuses what is dangerous, unless each danger is named in force.
func (o *operator) consider(ctx context.Context, d *departure, force []string) error {
	if d.nodeID == o.node.nodeID {
		if len(votersOf(d.servers)) == 1 {
			return fmt.Errorf("%w: %s is the last voter: without it there is no cluster", ErrRefused, d.name)
		}
		return fmt.Errorf("%w: %s leads: transfer-leader first", ErrRefused, d.name)
	}
	dangers := o.dangers(ctx, d)
	dangers = slices.DeleteFunc(dangers, func(x danger) bool { return slices.Contains(force, x.sentence) })
	return refusal(dangers)
}

// danger is why something is not done unless it is forced in words.
type danger struct{ what, sentence string }

// refusal is nil if there is no danger left.
func refusal(dangers []danger) error {
	if len(dangers) == 0 {
		return nil
	}
	var words []string
	for _, d := range dangers {
		words = append(words, fmt.Sprintf("%s; it is done only if forced with the words %q", d.what, d.sentence))
	}
	return fmt.Errorf("%w: %s", ErrRefused, strings.Join(words, "; besides, "))
}

func (o *operator) dangers(ctx context.Context, d *departure) (dangers []danger) {
	var left []cluster.Server
	if d.role == "voter" {
		left = slices.DeleteFunc(votersOf(d.servers), func(s cluster.Server) bool { return s.NodeID == d.nodeID })
	}
	subjects := []subject{{nodeID: d.nodeID, addr: d.addr}}
	for _, s := range left {
		subjects = append(subjects, subject{nodeID: s.NodeID, addr: o.node.addrOf(s)})
	}
	findings := o.node.census().ask(ctx, subjects)
	if findings[0].answers() {
		dangers = append(dangers, danger{
			fmt.Sprintf("%s answers: let it go with decommission", d.name),
			fmt.Sprintf("I know that %s answers and will be cut off", d.name),
		})
	}
	if d.role != "voter" {
		return dangers
	}
	answer := 0
	for _, f := range findings[1:] {
		if f.answers() {
			answer++
		}
	}
	if answer < len(left)/2+1 {
		dangers = append(dangers, danger{
			fmt.Sprintf("of the %d voters left %d would answer, which is no majority: nothing could be written any more", len(left), answer),
			fmt.Sprintf("I know that %d of %d voters answer and writes will stop", answer, len(left)),
		})
	}
	if least, _ := o.node.cluster.VoterBounds(); len(left) < least {
		dangers = append(dangers, danger{
			fmt.Sprintf("%d voters would be left of at least %d: start another server first, which becomes a voter by itself", len(left), least),
			fmt.Sprintf("I know that only %d voters will be left", len(left)),
		})
	}
	return dangers
}

// remove does it. Each step may be repeated: what is done already is left out.
func (o *operator) remove(ctx context.Context, d *departure) (*pb.RemoveServerResponse, error) {
	n := o.node
	resp := &pb.RemoveServerResponse{NodeId: d.nodeID, Role: d.role}
	if d.name != "node "+d.nodeID {
		resp.Sid = d.name
	}
	if d.role != "" {
		if err := n.consensus.Remove(ctx, d.nodeID, d.servers); err != nil {
			if dispositionOf(err) == dispositionNotSubmitted {
				return nil, notSent(err)
			}
			return nil, outcomeUnknown(err)
		}
		n.log.Info("server removed by an operator", "node_id", d.nodeID, "server", d.name, "role", d.role)
	}
	if d.life == nil {
		return resp, nil
	}
	ended := n.committer.unregister(ctx, &peerpb.UnregisterRequest{Sid: d.life.SID, Epoch: d.life.Epoch})
	if disposition := ended.GetDisposition(); disposition != peerpb.Disposition_DISPOSITION_APPLIED {
		return nil, outcomeUnknown(fmt.Errorf("%s is out of the configuration, but its life was not ended (%s): ask again", d.name, disposition))
	}
	n.reader.saw(ended.GetIndex())
	resp.LifeEnded = true
	return resp, nil
}

func votersOf(servers []cluster.Server) (voters []cluster.Server) {
	for _, s := range servers {
		if s.Voter {
			voters = append(voters, s)
		}
	}
	return voters
}
