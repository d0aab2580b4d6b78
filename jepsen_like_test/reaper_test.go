package jepsen_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	"github.com/pofresh/globalchannel/jepsen_like_test/nemesis"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

const (
	reapAfter = 10 * time.Second
	longPause = 15 * time.Second // longer than that
	// parkingLevel is the feature level from which on the members of an ended life wait
	// for it to be resumed. A new cluster gets there in its first seconds.
	parkingLevel = 3
)

// The tests in this file mostly wait, and do so side by side.

// fourConnectors: the founders and a server without a vote.
func fourConnectors() []harness.Spec {
	return append(connectors(3), harness.Spec{SID: "connector-4", SType: stype, NonVoter: true})
}

// lasting waits as long as a fault is to last.
func (r *run) lasting(d time.Duration) {
	r.t.Helper()
	select {
	case <-time.After(d):
	case <-r.ctx.Done():
		r.t.Fatal(r.ctx.Err())
	}
}

// epochs are the lives that a server shows, by sid.
func (r *run) epochs(s *harness.Server) map[string]uint64 {
	r.t.Helper()
	lives := make(map[string]uint64)
	for sid, line := range r.servers(s) {
		lives[sid] = line.Epoch
	}
	return lives
}

// client is for one question to a server that runs; done ends it.
func (r *run) client(s *harness.Server) (client pb.GlobalChannelClient, ctx context.Context, done context.CancelFunc, err error) {
	ctx, done = context.WithTimeout(r.ctx, 5*time.Second)
	if err = s.Connect(ctx); err == nil {
		client, err = s.Client()
	}
	return client, ctx, done, err
}

// life is the epoch that a server shows of another one.
func (r *run) life(s *harness.Server, sid string) (epoch uint64, err error) {
	client, ctx, done, err := r.client(s)
	defer done()
	if err != nil {
		return 0, err
	}
	list, err := client.Servers(ctx, &pb.ServersRequest{})
	for _, server := range list.GetServers() {
		if server.GetSid() == sid {
			epoch = server.GetEpoch()
		}
	}
	return epoch, err
}

// parking waits until all servers park the members of a life that ends.
func (r *run) parking() {
	r.t.Helper()
	for _, s := range r.cluster.Servers {
		r.eventually(s.SID+" parks", func() error {
			if got := decode[struct{ Level int }](r.t, r.command(s, "status", "-o", "json").Stdout).Level; got < parkingLevel {
				return fmt.Errorf("level %d", got)
			}
			return nil
		})
	}
}

// onePlayerEach puts a player onto every server.
func (r *run) onePlayerEach(servers []*harness.Server) (uids []string) {
	r.t.Helper()
	r.parking()
	for _, s := range servers {
		r.write(s, "add", "world", "at-"+s.SID, s.SID)
		uids = append(uids, "at-"+s.SID)
	}
	for _, s := range servers {
		r.eventually(s.SID+" shows all", func() error { return r.shows(s, uids...) })
	}
	return uids
}

// shows compares who is in world at that server.
//
// It asks over gRPC, as life does: where there are bounds on time, a process for each
// question would be most of it, on a busy machine.
func (r *run) shows(s *harness.Server, uids ...string) error {
	client, ctx, done, err := r.client(s)
	defer done()
	if err != nil {
		return err
	}
	stream, err := client.Members(ctx, &pb.MembersRequest{Name: "world"})
	if err != nil {
		return err
	}
	var got []string
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		for _, m := range chunk.GetMembers() {
			got = append(got, m.GetUid())
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(uids, got); diff != "" {
		return fmt.Errorf("%s (-want +got):\n%s", s.SID, diff)
	}
	return nil
}

// A leader that was stopped for longer than ReapAfter, and leads on when it goes on
// because nobody else could, has heard nothing of anybody for as long. That is its
// own silence.
func TestReaper_PausedLeaderThatLeadsOnEndsNobody(t *testing.T) {
	t.Parallel()
	specs := connectors(3)
	for i := range specs[1:] {
		specs[i+1].Founder, specs[i+1].NonVoter = false, true
	}
	r := start(t, specs)
	all, leader := r.cluster.Servers, r.cluster.Servers[0]
	uids := r.onePlayerEach(all)
	before := r.epochs(leader)
	r.must(leader.Pause())
	r.lasting(longPause)
	r.must(leader.Resume())
	r.lasting(longPause)
	r.write(leader, "add", "world", "later", leader.SID) // it leads, and commits
	for _, s := range all {
		r.eventually(s.SID+" shows all, and the later one", func() error { return r.shows(s, append(uids, "later")...) })
		if diff := cmp.Diff(before, r.epochs(s)); diff != "" {
			t.Errorf("lives at %s (-before +after):\n%s", s.SID, diff)
		}
	}
}

// A short stop costs nobody anything.
func TestReaper_ShortPausesEndNobody(t *testing.T) {
	t.Parallel()
	r := start(t, fourConnectors())
	all := r.cluster.Servers
	uids := r.onePlayerEach(all)
	before := r.epochs(all[0])
	for _, s := range all {
		r.must(s.Pause())
		r.lasting(time.Second)
		r.must(s.Resume())
	}
	r.lasting(reapAfter + 3*time.Second)
	for _, s := range all {
		r.eventually(s.SID+" shows all after short pauses", func() error { return r.shows(s, uids...) })
		if diff := cmp.Diff(before, r.epochs(s)); diff != "" {
			t.Errorf("lives at %s after short pauses (-before +after):\n%s", s.SID, diff)
		}
	}
}

// A long stop of the leader costs its own life, in time, and nobody else's, also when
// it goes on and still believes that it leads. Then its process is registered again,
// and its members are back at once.
func TestReaper_PausedLeaderThatIsFollowedEndsNobody(t *testing.T) {
	t.Parallel()
	for name, pause := range map[string]time.Duration{
		"15 s": longPause,
		"60 s": time.Minute, // the servers' own connections to it have timed out by then, and gossip has buried it
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pausedLeaderIsFollowed(t, pause)
		})
	}
}

func pausedLeaderIsFollowed(t *testing.T, pause time.Duration) {
	r := startPatiently(t, fourConnectors(), patience+pause)
	all := r.cluster.Servers
	uids := r.onePlayerEach(all)
	before := r.epochs(all[0])
	var guild []string
	for _, s := range all {
		r.write(all[0], "add", "guild", "guest-"+s.SID, s.SID)
		guild = append(guild, "guest-"+s.SID)
	}
	began := time.Now()
	deposed, err := nemesis.PauseLeader(r.ctx, all)
	r.must(err)
	old := deposed.Old.Leader
	var rest []string
	for _, s := range deposed.Survivors {
		rest = append(rest, "at-"+s.SID)
	}
	for _, s := range deposed.Survivors {
		r.eventually("the members of the paused leader are gone", func() error { return r.shows(s, rest...) })
	}
	took := time.Since(began)
	t.Logf("%v; its members were gone everywhere after %v", deposed, took.Round(time.Millisecond))
	if took > reapAfter+10*time.Second || took < reapAfter-time.Second {
		t.Errorf("the paused leader's members were gone after %v", took)
	}
	// Who is removed while he is parked does not come back with the others.
	r.write(deposed.Survivors[0], "leave", "guild", "guest-"+old.SID, old.SID)
	guild = slices.DeleteFunc(guild, func(uid string) bool { return uid == "guest-"+old.SID })
	r.lasting(max(0, pause-time.Since(began)))
	r.must(old.Resume())
	resumed := time.Now()
	for _, s := range all {
		// The replica of the resumed one is first as old as its pause.
		r.eventually(s.SID+" shows the new life of the resumed server", func() error {
			if now, err := r.life(s, old.SID); err != nil || now == before[old.SID] {
				return fmt.Errorf("epoch %d, %w", now, err)
			}
			return r.shows(s, uids...)
		})
	}
	whole := time.Since(resumed)
	t.Logf("everything was whole again %v after it went on", whole.Round(time.Millisecond))
	if whole > 10*time.Second {
		t.Errorf("whole again after %v, promised are 10 s", whole)
	}
	for _, s := range all {
		if diff := cmp.Diff(guild, r.members(s, "guild")); diff != "" {
			t.Errorf("%s, guild (-want +got):\n%s", s.SID, diff)
		}
	}
	r.write(old, "add", "guild", "later", old.SID)
	r.lasting(reapAfter + 3*time.Second)
	delete(before, old.SID)
	for _, s := range deposed.Survivors {
		after := r.epochs(s)
		delete(after, old.SID) // it has a new life
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("lives at %s after the long pause (-before +after):\n%s", s.SID, diff)
		}
	}
}
