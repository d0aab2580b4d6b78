package scene

import (
	"fmt"
	"slices"
	"testing"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/transport"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// A server is away for so long that its life is ended. Who is removed meanwhile does not
// come back with it.
func TestScene_RemovedWhileAway(t *testing.T) {
	play(t, func(s *scene) {
		p, w := s.Node("p"), s.Node("w")
		before := s.sees("p", 0)
		s.must(s.write(p, patience, history.Add, "alice", "p"))
		s.Isolate("p")
		s.over("p")
		s.must(s.write(w, patience, history.Leave, "alice", "p"))
		s.Heal()
		s.sees("p", before)
		s.pass(reapAfter)
		s.read(w, patience)
		s.set()
	})
}

// A frontend says goodbye to an agent that is cut off, and its process starts again and
// attaches elsewhere. When the agent is back, the goodbye that it has yet to pass on is
// about the life before.
func TestScene_LateGoodbye(t *testing.T) {
	play(t, func(s *scene) {
		w, agent := s.Node("w"), s.sees("p", 0)
		first := s.attach("p", "fe")
		before := s.sees("fe", 0)
		s.Isolate("p")
		if err := first.Send(&pb.AttachRequest{Message: &pb.AttachRequest_Goodbye{Goodbye: &pb.Goodbye{}}}); err != nil {
			t.Fatal(err)
		}
		s.over("fe")
		s.attach("w", "fe")
		s.sees("fe", before)
		s.must(s.write(w, patience, history.Add, "alice", "fe"))
		s.Heal()
		s.sees("p", agent)
		s.pass(reapAfter)
		s.read(w, patience)
		s.set()
	})
}

// attach is the process of a frontend, which lives to the end of the scene.
func (s *scene) attach(agent, sid string) pb.GlobalChannel_AttachClient {
	s.t.Helper()
	conn, err := transport.DialClient(s.ctx, s.Address(agent), nil, s.Network())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	stream, err := pb.NewGlobalChannelClient(conn).Attach(s.ctx)
	if err == nil {
		err = stream.Send(&pb.AttachRequest{Message: &pb.AttachRequest_Hello{Hello: &pb.Hello{Sid: sid, Stype: stype}}})
	}
	if err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		s.t.Fatalf("attach %s at %s: %v", sid, agent, err)
	}
	return stream
}

// A replica that was restored while a server was away has its members like the others when
// it comes back.
func TestScene_AwayOverARestart(t *testing.T) {
	play(t, func(s *scene) {
		p, follower := s.Node("p"), s.follower()
		before := s.sees("p", 0)
		for _, uid := range []string{"alice", "bob"} {
			if err := p.Add(s.ctx, room, uid, "p"); err != nil {
				t.Fatal(err)
			}
		}
		s.Isolate("p")
		s.over("p")
		s.fill()
		s.Kill(follower)
		s.Restart(follower)
		s.WaitReady(s.ctx)
		s.Heal()
		s.sees("p", before)
		s.compare("w", follower)
		s.linear()
	})
}

// compare notes what replicas show at one index.
func (s *scene) compare(sids ...string) {
	s.t.Helper()
	s.WaitEqual(s.ctx)
	s.Eventually(s.ctx, func() error {
		index := s.Node(sids[0]).Status().Applied
		for _, sid := range sids {
			n := s.Node(sid)
			members, err := n.Members(s.ctx, room, node.AtLeast(index))
			if err != nil {
				return err
			}
			var list []string
			for m := range members {
				list = append(list, m.UID+" on "+m.SID)
			}
			slices.Sort(list)
			if now := n.Status().Applied; now != index {
				return fmt.Errorf("%s is at %d, not at %d any more", sid, now, index)
			}
			s.history.Note(history.Event{F: history.Replica, Via: sid, Index: index, State: fmt.Sprint(list)})
		}
		return nil
	})
}
