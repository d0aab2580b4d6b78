package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node"
	"github.com/pofresh/globalchannel/node/nodetest"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// census asks sid for everybody and how they are.
func census(t *testing.T, ctx context.Context, f *nodetest.Fleet, sid string) *pb.ServersResponse {
	t.Helper()
	r, err := client(t, ctx, f, sid).Servers(ctx, &pb.ServersRequest{Health: true})
	must(t, err)
	return r
}

// refusedWith checks that an operator was told why not, in these words.
func refusedWith(t *testing.T, err error, words ...string) {
	t.Helper()
	if !errors.Is(err, node.ErrRefused) {
		t.Errorf("%v, want %v", err, node.ErrRefused)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func TestServers_TellHowEverybodyIs(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfgs := four()
		cfgs[3].Zone = "eu-1"
		f := readyCluster(t, ctx, cfgs...)
		leader := f.Leader(ctx).Self().SID
		settle(ctx)
		for _, asked := range []string{"c1", "c2", "c3", "c4"} {
			r := census(t, ctx, f, asked)
			if len(r.GetServers()) != 4 || len(r.GetLifeless()) != 0 || r.GetLastIndexOf() != leader || r.GetLastIndex() == 0 {
				t.Fatalf("%s: %v", asked, r)
			}
			for _, s := range r.GetServers() {
				h := s.GetHealth()
				if h.GetProblem() != "" || !h.GetAnswers() || h.Lag == nil || h.GetLag() > 2 || h.GetVersion() == "" {
					t.Errorf("%s tells of %s: %v", asked, s.GetSid(), h)
				}
				want, zone := "voter", ""
				if s.GetSid() == "c4" {
					want, zone = "replica", "eu-1"
				}
				if s.GetRole() != want || s.GetZone() != zone || s.GetLeader() != (s.GetSid() == leader) {
					t.Errorf("%s tells of %s: %v", asked, s.GetSid(), s)
				}
			}
		}
		plain, err := client(t, ctx, f, "c4").Servers(ctx, &pb.ServersRequest{})
		must(t, err)
		if plain.GetServers()[0].GetHealth() != nil {
			t.Errorf("nobody asked how c1 is: %v", plain)
		}
	})
}

// One that is off, one that is cut off, one that lags, one whose address has another's process.
func TestServers_TellWhatIsWrongAndDoNotWaitForEachOther(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		cfgs := append(four(), node.Config{SID: "c5", SType: "connector", NonVoter: true}, node.Config{SID: "c6", SType: "connector", NonVoter: true})
		f := readyCluster(t, ctx, cfgs...)
		asked := follower(t, ctx, f).Self().SID
		leader := f.Leader(ctx)
		resume := f.StallDisk("c4") // no entry reaches it from now on
		defer resume()
		f.Kill("c5")
		f.Cut(asked, "c6")
		for i := range 20 {
			must(t, leader.Add(ctx, "world", fmt.Sprint(i), leader.Self().SID))
		}
		began := time.Now()
		r := census(t, ctx, f, asked)
		if took := time.Since(began); took > 1500*time.Millisecond {
			t.Errorf("took %v, want about the second of one silent server", took)
		}
		for _, s := range r.GetServers() {
			h := s.GetHealth()
			switch s.GetSid() {
			case "c4":
				if !h.GetAnswers() || h.GetLag() < 15 {
					t.Errorf("c4 lags: %v", h)
				}
			case "c5":
				if h.GetAnswers() || h.Lag != nil || !strings.Contains(h.GetProblem(), "10.0.0.5:7400") {
					t.Errorf("c5 is off: %v", h)
				}
			case "c6":
				if h.GetAnswers() || !strings.Contains(h.GetProblem(), "no answer from 10.0.0.6:7400 within 1s") {
					t.Errorf("c6 is cut off: %v", h)
				}
			default:
				if !h.GetAnswers() || h.GetProblem() != "" {
					t.Errorf("%s: %v", s.GetSid(), h)
				}
			}
		}
	})
}

// A server whose life is over stays in the configuration: its vote is not forgotten.
func TestServers_TellOfVotersWithoutALife(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, three()...)
		gone := follower(t, ctx, f)
		must(t, gone.Close())
		asked := follower(t, ctx, f, gone.Self().SID)
		f.WaitEqual(ctx)
		r := census(t, ctx, f, asked.Self().SID)
		if len(r.GetServers()) != 2 || len(r.GetLifeless()) != 1 {
			t.Fatalf("%v", r)
		}
		s := r.GetLifeless()[0]
		if s.GetSid() != gone.Self().SID || s.GetNodeId() != gone.Self().NodeID || s.GetRole() != "voter" || s.GetHealth().GetAnswers() || s.GetHealth().GetProblem() == "" {
			t.Errorf("%v", s)
		}
	})
}

func TestTransferLeader_GivesItToTheNamedVoterFromAnyNode(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		f.SetLatency(time.Millisecond)
		defer f.SetLatency(0)
		for _, asked := range []string{"c4", "c1", "c2", "c3"} {
			before := f.Leader(ctx).Self()
			heir := follower(t, ctx, f, asked).Self().SID
			r, err := client(t, ctx, f, asked).TransferLeader(ctx, &pb.TransferLeaderRequest{Sid: heir})
			must(t, err)
			if took := time.Duration(r.GetTookUs()) * time.Microsecond; r.GetSid() != heir || took <= 0 || took > time.Second {
				t.Errorf("from %s to %s by %s: %v", before.SID, heir, asked, r)
			}
			if now := f.Leader(ctx).Self(); now.SID != heir || now.NodeID != r.GetNodeId() {
				t.Errorf("%s leads, want %s", now.SID, heir)
			}
			again, err := f.Node(asked).TransferLeader(ctx, heir) // it leads: nothing to do
			if err != nil || again != heir {
				t.Errorf("again: %q, %v", again, err)
			}
		}
		before := f.Leader(ctx).Self().SID
		got, err := f.Node("c4").TransferLeader(ctx, "")
		must(t, err)
		if now := f.Leader(ctx).Self().SID; now == before || got != now {
			t.Errorf("to anybody: %s says it leads, %s does, %s did", got, now, before)
		}
	})
}

// Callers on all servers get no error while leadership goes round.
func TestTransferLeader_UnderLoadGivesNobodyAnError(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		f.SetLatency(time.Millisecond)
		defer f.SetLatency(0)
		load, cancel := context.WithCancel(ctx)
		var group sync.WaitGroup
		for _, n := range f.Nodes() {
			for c := range 5 {
				group.Go(func() {
					for i := 0; load.Err() == nil; i++ {
						if err := n.Add(ctx, "world", fmt.Sprint(c, "-", i), n.Self().SID); err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		for range 5 {
			pause(ctx, 200*time.Millisecond)
			if _, err := f.Node("c4").TransferLeader(ctx, ""); err != nil {
				t.Error(err)
			}
		}
		cancel()
		group.Wait()
	})
}

func TestTransferLeader_RefusesInWords(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		leader := f.Leader(ctx).Self().SID
		off := follower(t, ctx, f).Self().SID
		halted := follower(t, ctx, f, off)
		_, err := f.Node("c4").TransferLeader(ctx, "c4")
		refusedWith(t, err, "c4 is not a voter")
		_, err = f.Node("c4").TransferLeader(ctx, "nobody")
		wantError(t, err, node.ErrUnknownServer, node.ErrRejected)
		_, err = f.Node("c4").TransferLeader(ctx, strings.Repeat("x", 65))
		wantError(t, err, node.ErrInvalidArgument)
		f.Kill(off)
		_, err = f.Node("c4").TransferLeader(ctx, off)
		refusedWith(t, err, off+" does not answer")
		halted.Halt()
		_, err = f.Node("c4").TransferLeader(ctx, "")
		refusedWith(t, err, off+" does not answer", halted.Self().SID+" may not lead", "halted")
		if now := f.Leader(ctx).Self().SID; now != leader {
			t.Errorf("%s leads, %s did", now, leader)
		}
	})
}

func TestTransferLeader_RefusesOneThatIsBehind(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		leader := f.Leader(ctx)
		late := follower(t, ctx, f).Self().SID
		resume := f.StallDisk(late)
		defer resume()
		for i := range 150 {
			must(t, leader.Add(ctx, "world", fmt.Sprint(i), leader.Self().SID))
		}
		_, err := leader.TransferLeader(ctx, late)
		refusedWith(t, err, late+" is ", "entries behind")
	})
}

func TestTransferLeader_RefusesTheOnlyVoter(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, server("c1", "connector"), node.Config{SID: "c2", SType: "connector", NonVoter: true})
		_, err := f.Node("c2").TransferLeader(ctx, "")
		refusedWith(t, err, "c1 is the only voter")
	})
}

func TestTransferLeader_WithoutALeaderIsNotSent(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		f.Kill("c1", "c2")
		short, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		f.Eventually(ctx, func() error {
			if s := f.Node("c3").Status(); s.LeaderNodeID != "" {
				return errors.New("it still knows one")
			}
			return nil
		})
		_, err := f.Node("c3").TransferLeader(short, "")
		wantError(t, err, node.ErrNotSent, node.ErrNoLeader)
	})
}

func TestRemoveServer_TakesADeadOneOutAndEndsItsLife(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, append(four(), server("c5", "connector"), server("c6", "connector"))...)
		untilVoters(t, ctx, f, "c1", "c2", "c3", "c5", "c6")
		dead := follower(t, ctx, f).Self()
		must(t, f.Leader(ctx).Add(ctx, "world", "ghost", dead.SID))
		f.Kill(dead.SID, "c4")
		asked := follower(t, ctx, f, dead.SID).Self().SID // passes it on
		f.Leader(ctx)
		c := client(t, ctx, f, asked)
		r, err := c.RemoveServer(ctx, &pb.RemoveServerRequest{Server: dead.SID})
		must(t, node.FromStatus(err))
		if r.GetSid() != dead.SID || r.GetNodeId() != dead.NodeID || r.GetRole() != "voter" || !r.GetLifeEnded() {
			t.Errorf("%v", r)
		}
		r, err = c.RemoveServer(ctx, &pb.RemoveServerRequest{Server: f.Node("c4").Self().NodeID}) // by its node id
		must(t, node.FromStatus(err))
		if r.GetSid() != "c4" || r.GetRole() != "replica" || !r.GetLifeEnded() {
			t.Errorf("%v", r)
		}
		everywhere(t, ctx, f, "world")   // nobody: the ghost is gone
		f.Eventually(ctx, func() error { // the asked one may not have heard of it yet
			if all := census(t, ctx, f, asked); len(all.GetServers()) != 4 || len(all.GetLifeless()) != 0 {
				return fmt.Errorf("still there: %v", all)
			}
			return nil
		})
		wantError(t, f.Node(asked).RemoveServer(ctx, dead.SID), node.ErrUnknownServer)
	})
}

// A closed server has no life any more, and still its vote.
func TestRemoveServer_TakesTheVoteOfAClosedOne(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, append(three(), server("c4", "connector"), server("c5", "connector"))...)
		untilVoters(t, ctx, f, "c1", "c2", "c3", "c4", "c5")
		gone := follower(t, ctx, f)
		must(t, gone.Close())
		must(t, f.Leader(ctx).RemoveServer(ctx, gone.Self().SID))
		for _, n := range f.Nodes() {
			f.Eventually(ctx, func() error {
				if r := census(t, ctx, f, n.Self().SID); len(r.GetLifeless()) != 0 {
					return fmt.Errorf("%v", r.GetLifeless())
				}
				return nil
			})
		}
	})
}

func TestRemoveServer_RefusesTheDangerousUnlessForcedInWords(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		leader := f.Leader(ctx)
		a := follower(t, ctx, f).Self().SID
		b := follower(t, ctx, f, a).Self().SID
		remove := func(server string, force ...string) error { return f.Node("c4").RemoveServer(ctx, server, force...) }

		refusedWith(t, remove(leader.Self().SID), "leads: transfer-leader first")
		answers, few := fmt.Sprintf("I know that %s answers and will be cut off", a), "I know that only 2 voters will be left"
		refusedWith(t, remove(a), a+" answers", "decommission", answers, few)
		refusedWith(t, remove("c4"), "c4 answers", "decommission")
		wantError(t, remove("nobody"), node.ErrUnknownServer)
		wantError(t, remove(""), node.ErrInvalidArgument)

		f.Kill(a)
		refusedWith(t, remove(a), "2 voters would be left of at least 3", few)
		refusedWith(t, remove(a, "I know that"), few)        // not half of it
		refusedWith(t, remove(a, answers), few)              // nor another one
		refusedWith(t, remove(a, strings.ToUpper(few)), few) // nor in other letters
		refusedWith(t, remove(a, "I know that only 1"), few) // nor other numbers
		if roles := voters(t, ctx, f, "c4"); len(roles) != 3 {
			t.Errorf("voters are %v after refusals only", roles)
		}
		must(t, remove(a, few))
		// Two are left. If that one goes too, the last one is alone.
		refusedWith(t, remove(b), b+" answers", "only 1 voters")
		f.Eventually(ctx, func() error {
			if roles := voters(t, ctx, f, "c4"); len(roles) != 2 {
				return fmt.Errorf("voters are %v", roles)
			}
			return nil
		})
	})
}

// With one of three dead, the removal of a live one would leave two of which one answers.
func TestRemoveServer_RefusesToLoseTheQuorum(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, four()...)
		leader := f.Leader(ctx)
		dead := follower(t, ctx, f).Self().SID
		alive := follower(t, ctx, f, dead).Self().SID
		f.Kill(dead)
		err := leader.RemoveServer(ctx, alive, fmt.Sprintf("I know that %s answers and will be cut off", alive), "I know that only 2 voters will be left")
		refusedWith(t, err, "no majority: nothing could be written any more", "I know that 1 of 2 voters answer and writes will stop")
		must(t, leader.Add(ctx, "world", "alice", leader.Self().SID))
	})
}

func TestRemoveServer_NeverTheLastVoter(t *testing.T) {
	inBubble(t, func(t *testing.T, ctx context.Context) {
		f := readyCluster(t, ctx, server("c1", "connector"))
		err := f.Node("c1").RemoveServer(ctx, "c1", "I know that c1 answers and will be cut off")
		refusedWith(t, err, "last voter")
	})
}

// voters are the sids that have a vote, as n's server tells.
func voters(t *testing.T, ctx context.Context, f *nodetest.Fleet, asked string) (sids []string) {
	t.Helper()
	r := census(t, ctx, f, asked)
	for _, s := range slices.Concat(r.GetServers(), r.GetLifeless()) {
		if s.GetRole() == "voter" {
			sids = append(sids, s.GetSid())
		}
	}
	return sids
}
