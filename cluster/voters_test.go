package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// parse reads servers like "A* b B†": upper case has a disk, lower case has none. Voters
// are before the bar, others behind it. Marks: * leads, † lost (and down), ! gone (and
// down), ~ down, y yields, l leaves, n never votes, ? not ready, u nothing is known of its disk, @z is in zone z.
func parse(s string) []standing {
	var servers []standing
	voters, others, _ := strings.Cut(s, "|")
	for i, part := range []string{voters, others} {
		for _, word := range strings.Fields(part) {
			w, zone, _ := strings.Cut(word, "@")
			marks := []rune(w)
			s := standing{Server: Server{NodeID: string(marks[0]), Voter: i == 0}, zone: zone, durable: strings.ToUpper(w[:1]) == w[:1], up: true, ready: true}
			s.diskless = !s.durable
			for _, m := range marks[1:] {
				switch m {
				case '*':
					s.leads = true
				case '†':
					s.lost, s.up, s.ready = true, false, false
				case '!':
					s.gone, s.up, s.ready = true, false, false
				case '~':
					s.up, s.ready = false, false
				case 'y':
					s.yields = true
				case 'l':
					s.leaves = true
				case 'u':
					s.durable, s.diskless = false, false
				case 'n':
					s.nonVoter = true
				case '?':
					s.ready = false
				}
			}
			servers = append(servers, s)
		}
	}
	return servers
}

// apply makes the move, as Raft and a later leader would.
func (e electorate) apply(m move) electorate {
	e.servers = slices.Clone(e.servers)
	i := slices.IndexFunc(e.servers, func(s standing) bool { return s.NodeID == m.server.NodeID })
	switch m.kind {
	case promote:
		e.servers[i].Voter = true
	case demote:
		e.servers[i].Voter = false
	case expel:
		e.servers = slices.Delete(e.servers, i, i+1)
	case handOver:
		e.servers[i].leads = false
		for j, s := range e.servers {
			if j != i && s.Voter && s.up {
				e.servers[j].leads = true
				break
			}
		}
	}
	return e
}

func TestElectorate_Next(t *testing.T) {
	for _, c := range []struct {
		name        string
		least, most int
		servers     string
		want        string // moves until it stays
	}{
		{"two servers, one votes", 1, 5, "A* | B", ""},
		{"three servers vote", 1, 5, "A* | B C", "promote B, promote C"},
		{"of four servers three vote", 3, 5, "A* B C | D", ""},
		{"of eight servers five vote", 3, 5, "A* B C | D E F G H", "promote D, promote E"},
		{"an even limit", 1, 4, "A* B C | D E", ""},
		{"an even number is made odd", 3, 5, "A* B C D | E", "promote E"},
		{"not before they are ready", 3, 5, "A* B C | D? E", ""},
		{"servers that never vote", 1, 5, "A* | Bn Cn", ""},
		{"a lost voter without a successor", 3, 5, "A* B C† | Dn", ""},
		{"a lost voter of three", 3, 5, "A* B C† | D", "promote D, demote C"},
		{"a lost voter of three, at the limit", 3, 3, "A* B C† | D", "promote D, demote C"},
		{"a lost voter of five", 3, 5, "A* B C D E† | F", "demote E, promote F"},
		{"two lost voters of five", 3, 5, "A* B C D† E† | F G", "demote E, promote F, demote D, promote G"},
		{"two lost voters of five, one successor", 3, 5, "A* B C D† E† | F", "demote E, promote F"},
		{"two lost voters of five, no successor", 3, 5, "A* B C D† E†", ""},
		{"no quorum, no change", 3, 5, "A* B† C† | D", ""},
		{"half of them are down", 3, 5, "A* B C~ D†", ""},
		{"no promotion beyond the quorum that is up", 2, 5, "A* B~ | C", ""},
		{"two of four are down", 3, 5, "A* B C~ D~ | E F", ""},
		{"who comes back takes no seat", 3, 5, "A* B C D F | E", ""},
		{"a gone voter", 3, 5, "A* B C D E!", "remove E"},
		{"gone voters, down to the least", 3, 5, "A* B C D! E!", "remove E, remove D"},
		{"a gone voter of the least", 3, 5, "A* B C!", ""},
		{"a gone voter of two founders", 2, 5, "A* B C!", "remove C"},
		{"a gone voter of the least has a successor", 3, 5, "A* B C! | D", "promote D, remove C"},
		{"gone replicas, one at a time", 3, 5, "A* B C | D! E!", "remove D, remove E"},
		{"a vote given back", 3, 5, "A* B C D Ey", "demote E"},
		{"a vote given back, and a successor", 3, 5, "A* B C D Ey | F", "demote E, promote F"},
		{"a vote given back of the least", 3, 5, "A* B Cy | D", "promote D, demote C"},
		{"a vote given back of the least, no successor", 3, 5, "A* B Cy | Dn", ""},
		{"the last voter", 1, 5, "A*y | Bn", ""},
		{"the last voter's successor", 1, 5, "A*l | B", "promote B, hand over A, remove A"},
		{"the leader leaves", 3, 5, "A*l B C D", "hand over A, remove A"},
		{"a voter restarted as one that never votes", 3, 5, "A* B Cn | D", "promote D, demote C"},
		{"only diskless servers", 1, 5, "a* | b c d e f", "promote b, promote c, promote d, promote e"},
		{"no diskless beside disks", 1, 5, "A* | b c d e", ""},
		{"not even for a lost one", 3, 5, "A* B C† | d", ""},
		{"a dead one of which this leader knows nothing", 3, 5, "A* B C~u D | Ey", ""},
		{"mixed founders", 3, 5, "A* b c", ""},
		{"mixed founders and one with a disk", 3, 5, "A* b c | D", "promote D, demote c"},
		{"mixed founders and more", 3, 5, "A b* c | D E", "promote D, demote c, promote E, hand over b, demote b"},
		{"disks come to diskless servers", 3, 5, "a* b c | D", "promote D, demote c"},
		{"a disk comes to a single one without", 1, 5, "a* | B", "promote B, hand over a, demote a"},
		{"too many voters", 3, 3, "A* B C D E", "demote E, demote D"},
		{"zones", 3, 5, "A*@x B@x C@y | D@x E@z F@y G@z", "promote E, promote F"},
		{"a lost voter's zone", 3, 3, "A*@x B@y C†@z | D@x E@y F@z", "promote F, demote C"},
		{"of too many, from the fullest zone", 3, 3, "A*@x B@y C@z D@y E@z", "demote E, demote D"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := electorate{servers: parse(c.servers), least: c.least, most: c.most}
			var got []string
			for m := e.next(); m.kind != stay && len(got) < 20; m = e.next() {
				got = append(got, fmt.Sprint(m.kind, " ", m.server.NodeID))
				e = e.apply(m)
			}
			if diff := cmp.Diff(c.want, strings.Join(got, ", ")); diff != "" {
				t.Errorf("%s: %s", c.servers, diff)
			}
		})
	}
}

// Whatever the servers are: every change keeps a quorum of those that are up, and
// after a few there is nothing more to do.
func TestElectorate_EveryMoveIsSafeAndTheyEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "servers")
		e := electorate{least: rapid.IntRange(1, 3).Draw(t, "least"), most: rapid.IntRange(3, 7).Draw(t, "most")}
		leads := false
		for i := range n {
			flag := func(name string, in int) bool { return rapid.IntRange(1, in).Draw(t, fmt.Sprint(name, i)) == 1 }
			s := standing{
				Server:  Server{NodeID: fmt.Sprintf("%02d", i), Voter: flag("voter", 2) && i < 8},
				durable: !flag("diskless", 3), nonVoter: flag("nonVoter", 5), up: !flag("down", 5),
				yields: flag("yields", 8), leaves: flag("leaves", 8), zone: rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, fmt.Sprint("zone", i)),
			}
			s.diskless = !s.durable && !flag("unknown", 4)
			s.ready = s.up && !flag("behind", 4)
			if !s.up {
				s.lost = flag("lost", 2)
				s.gone = s.lost && flag("gone", 2)
			}
			if s.Voter && s.up && !leads {
				s.leads, leads = true, true
			}
			e.servers = append(e.servers, s)
		}
		for range 60 {
			m := e.next()
			if m.kind == stay {
				return
			}
			e = checkMove(t, e, m)
		}
		t.Fatalf("no end: %+v", e)
	})
}

func checkMove(t *rapid.T, before electorate, m move) electorate {
	after := before.apply(m)
	was, _ := before.split()
	now, _ := after.split()
	i := slices.IndexFunc(before.servers, func(s standing) bool { return s.NodeID == m.server.NodeID })
	subject := before.servers[i]
	problem := func(what string) {
		t.Helper()
		t.Fatalf("%s by %s of %+v\n%+v\n%+v", what, m.kind, subject, before, after)
	}
	switch {
	case alive(now)*2 <= len(now):
		problem("no quorum")
	case len(now) < len(was) && len(now) < before.least:
		problem("fewer than the least")
	case len(now) > len(was) && len(now) > before.most+1:
		problem("more than one too many")
	case m.kind == promote && (!subject.ready || subject.nonVoter || subject.yields || subject.leaves || subject.gone):
		problem("a vote for the wrong one")
	case m.kind == promote && !subject.durable && anyDurable(was):
		problem("diskless beside disks")
	case m.kind == expel && !subject.gone && !subject.leaves:
		problem("removed for nothing")
	case (m.kind == demote || m.kind == expel) && subject.leads:
		problem("the leader itself")
	case m.kind == demote && !subject.lost && !subject.yields && !subject.nonVoter && !subject.diskless && len(was) <= before.most:
		problem("a good voter lost its vote")
	}
	leaders := 0
	for _, s := range after.servers {
		if s.leads {
			leaders++
		}
	}
	if leaders != 1 {
		problem(fmt.Sprint(leaders, " leaders"))
	}
	return after
}
