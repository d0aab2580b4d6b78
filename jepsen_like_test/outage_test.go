package jepsen_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// All voters are killed at once and started again from their disks, while a
// server that does not vote stays up, with players of its own and those of a
// frontend that is attached to it. The survivors' players never noticed; the
// restarted servers have none.
func TestOutage_VotersKilledTogether(t *testing.T) { onDisk(t, votersKilledTogether) }

func votersKilledTogether(t *testing.T, keep func([]harness.Spec) []harness.Spec) {
	const witness, attached = "connector-9", "attached-1"
	r := start(t, keep(append(connectors(3), harness.Spec{SID: witness, SType: stype, NonVoter: true})))
	all, voters, stayed := r.cluster.Servers, r.cluster.Servers[:3], r.cluster.Server(witness)
	listener := r.listen(stayed, attached)
	epoch := listener.epoch
	r.history.Note(history.Event{F: history.Life, SID: attached, SType: stype, Epoch: epoch, Index: history.RegisteredAt(epoch)})
	guests := r.addGuests(stayed, attached)

	// Under load, so that the kill finds logs that do not end alike.
	l := r.load(all, append(sids(all), attached)...)
	r.await(l, phase/2, all)
	r.cluster.Kill(voters...)
	r.must(r.cluster.Start(r.ctx, voters...))
	r.await(l, phase/2, all)
	report := r.verdict(l)
	if report.Ended != 3 || report.Lives != 8 || report.Purged == 0 || report.Adds < 4*phase/2 {
		t.Errorf("too little was done for the run to count: %v", report)
	}

	// What the checker has said of both, once more as a person would look.
	if now := r.servers(voters[0])[attached].Epoch; now != epoch {
		t.Errorf("the attached frontend has life %d, before the outage it had %d", now, epoch)
	}
	for _, s := range all {
		if diff := cmp.Diff(guests, r.members(s, "guests")); diff != "" {
			t.Errorf("members of the attached frontend at %s (-want +got):\n%s", s.SID, diff)
		}
	}
	r.command(voters[0], "push", "guests", "--type", stype, "--route", "hello", "--msg", "still there?")
	want := pushLine{Route: "hello", Channel: "guests", UIDs: guests, Msg: new("still there?")}
	if diff := cmp.Diff(want, listener.next()); diff != "" {
		t.Errorf("the attached frontend got (-want +got):\n%s", diff)
	}
}

// addGuests puts players onto an attached frontend, in a channel of their own.
func (r *run) addGuests(via *harness.Server, sid string) (guests []string) {
	for i := range 5 {
		uid := fmt.Sprintf("guest-%d", i)
		r.command(via, "add", "guests", uid, sid)
		guests = append(guests, uid)
	}
	return guests
}
