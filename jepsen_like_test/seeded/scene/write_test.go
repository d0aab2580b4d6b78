package scene

import (
	"testing"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// A leader that is cut off together with its clients acknowledges nothing.
func TestScene_LeaderCutOff(t *testing.T) {
	play(t, func(s *scene) {
		s.pass(reapAfter) // nothing else is on its way
		old := s.Leader(s.ctx)
		s.Isolate(old.Self().SID)
		result := s.write(old, haste, history.Add, "alice", "w")
		s.t.Logf("the leader that was cut off said: %s", result)
		s.read(s.Node("w"), patience)
		s.Heal()
		s.pass(reapAfter)
		s.linear()
	})
}

// The answer to a write is lost, and the writer's life is over before it can ask again.
// Meanwhile somebody undoes the write, and that stays.
func TestScene_AnswerLostBeforeTheFence(t *testing.T) {
	play(t, func(s *scene) {
		p, w := s.Node("p"), s.Node("w")
		before := s.sees("p", 0)
		s.must(s.write(p, patience, history.Add, "bob", "w")) // its link to the leader stands
		for _, v := range voters {
			s.Cut(v, "p")
		}
		written := make(chan history.Type)
		go func() { written <- s.write(p, patience, history.Add, "alice", "w") }()
		s.shows(w, "alice", true)
		s.Isolate("p")
		s.over("p")
		s.pass(outlived) // p's connections are given up
		s.must(s.write(w, patience, history.Leave, "alice", "w"))
		s.Heal()
		s.CutGossip() // or p would ask the leader again as soon as it hears of its own end
		s.sees("p", before)
		s.t.Logf("the write whose answer was lost: %s", <-written)
		s.pass(reapAfter)
		s.read(w, patience)
		s.linear()
	})
}
