package scene

import (
	"slices"
	"testing"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/node"
)

// A replica that was restored goes on as the others do.
func TestScene_WriteAfterARestart(t *testing.T) {
	play(t, func(s *scene) {
		follower := s.follower()
		s.fill()
		s.Kill(follower)
		s.Restart(follower)
		s.WaitReady(s.ctx)
		s.must(s.write(s.Node("w"), patience, history.Add, "alice", "w"))
		s.read(s.Node(follower), patience)
		s.linear()
	})
}

// One of three voters is away, one dies, and one loses its disk. The one that was away and
// the one that has forgotten all are no majority: what the two others had is not lost.
func TestScene_VoterWithoutItsDisk(t *testing.T) {
	play(t, func(s *scene) {
		leader := s.Leader(s.ctx).Self().SID
		rest := slices.DeleteFunc(slices.Clone(voters), func(sid string) bool { return sid == leader })
		away, wiped := rest[0], rest[1]
		s.must(s.write(s.Node("w"), patience, history.Add, "alice", "w"))
		s.WaitEqual(s.ctx)
		s.Isolate(away, "w")
		s.must(s.write(s.Node(leader), patience, history.Leave, "alice", "w"))
		s.Kill(leader, wiped)
		s.RestartWith(wiped, node.Config{SID: wiped, SType: stype, DataDir: "another", Cluster: node.Settings{ReapAfter: reapAfter}})
		s.Heal()
		s.read(s.Node("w"), outlived)
		s.Restart(leader)
		s.read(s.Node("w"), patience)
		s.linear()
	})
}
