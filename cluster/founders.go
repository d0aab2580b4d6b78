package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// foundersOf are the members that want to found, sorted by sid for people.
func foundersOf(members []Member) []Member {
	founders := slices.DeleteFunc(slices.Clone(members), func(m Member) bool { return m.Expect == 0 || m.ClusterID != "" })
	slices.SortFunc(founders, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.SID, b.SID), cmp.Compare(a.NodeID, b.NodeID))
	})
	return founders
}

// objection says why nobody may found with these founders in sight.
func (f *founding) objection(founders []Member) string {
	if i := slices.IndexFunc(founders, func(m Member) bool { return m.Expect != f.self.Expect }); i >= 0 {
		all := make([]string, len(founders))
		for i, m := range founders {
			all[i] = fmt.Sprintf("%s (%s) expects %d", m.SID, m.Addr, m.Expect)
		}
		return "founders expect different numbers of founders: " + strings.Join(all, ", ")
	}
	if len(founders) > f.self.Expect {
		return fmt.Sprintf("%d servers want to found, but only the %d expected may: %s", len(founders), f.self.Expect, list(founders))
	}
	return ""
}

// is tells whether the founder of a proposal is this member.
func (m Member) is(f Founder) bool { return m.NodeID == f.NodeID && m.Addr == f.Addr }

func (m Member) same(f Founder) bool { return m.NodeID == f.NodeID }

func list(members []Member) string {
	if len(members) == 0 {
		return "none"
	}
	all := make([]string, len(members))
	for i, m := range members {
		all[i] = fmt.Sprintf("%s (%s)", m.SID, m.Addr)
	}
	return strings.Join(all, ", ")
}

// clusterIDs in sight, sorted.
func clusterIDs(members []Member) []string {
	var ids []string
	for _, m := range members {
		if m.ClusterID != "" {
			ids = append(ids, m.ClusterID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func votersOf(p Proposal) []Server {
	servers := make([]Server, len(p.Founders))
	for i, f := range p.Founders {
		servers[i] = Server{NodeID: f.NodeID, Addr: f.Addr, Voter: true}
	}
	return servers
}
