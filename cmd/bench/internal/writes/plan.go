package writes

import (
	"fmt"
	"slices"
)

// system is what is measured: a cluster, or Redis.
type system struct {
	Name  string // node, raft or redis
	Store string // "" for redis
}

// Case is one row of the table.
type Case struct {
	System      string `json:"system"`
	Store       string `json:"store,omitempty"`
	Place       string `json:"place,omitempty"` // of the callers: leader or follower
	Call        string `json:"call"`
	Outstanding int    `json:"outstanding"`
}

// What the callers call.
const (
	callWrite = "add/leave"
	callApply = "apply 512"
	callEntry = "entry"

	applySize    = 512
	applyCallers = 8

	onLeader   = "leader"
	onFollower = "follower"

	raftMost = 1000 // callers: with more, entries wait for seconds
)

// String names the case in progress and errors.
func (c Case) String() string {
	text := c.System
	for _, part := range []string{c.Store, c.Place, c.Call} {
		if part != "" {
			text += " " + part
		}
	}
	return fmt.Sprintf("%s, %d outstanding", text, c.Outstanding)
}

func (c Case) group() int {
	if c.Call == callApply {
		return applySize
	}
	return 0
}

// systems are in the order in which they take turns.
func (o Options) systems() []system {
	var all []system
	for _, store := range o.Stores {
		all = append(all, system{"node", store})
	}
	if o.Redis != "" {
		all = append(all, system{Name: "redis"})
	}
	if o.Raft {
		for _, store := range o.Stores {
			all = append(all, system{"raft", store})
		}
	}
	return all
}

// turn is the order of run i: every other one goes backwards, so that nothing is
// always measured after the same.
func turn[T any](all []T, i int) []T {
	all = slices.Clone(all)
	if i%2 == 1 {
		slices.Reverse(all)
	}
	return all
}

// cases of one system.
func (o Options) cases(s system) []Case {
	var all []Case
	add := func(place, call string, outstanding int) {
		all = append(all, Case{System: s.Name, Store: s.Store, Place: place, Call: call, Outstanding: outstanding})
	}
	switch s.Name {
	case "redis":
		for _, n := range o.Outstanding {
			add("", callWrite, n)
		}
	case "raft":
		for _, n := range o.Outstanding {
			if n <= raftMost {
				add(onLeader, callEntry, n)
			}
		}
	default:
		for _, place := range []string{onLeader, onFollower} {
			for _, n := range o.Outstanding {
				add(place, callWrite, n)
			}
		}
		add(onLeader, callApply, applyCallers)
	}
	return all
}
