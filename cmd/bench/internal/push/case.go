package push

import (
	"fmt"
	"slices"

	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
)

// Case is one row of the table.
type Case struct {
	By       string `json:"by"`
	Shape    string `json:"shape"`
	Channels int    `json:"channels"` // that the callers go through
	Callers  int    `json:"callers"`
	Changing bool   `json:"changing,omitempty"` // the channels change meanwhile
	Counted  bool   `json:"counted,omitempty"`  // the pusher counts its bytes
}

// shape is what channels look like.
type shape struct {
	name     string
	prefix   string // of the channels' names
	channels int
	each     int // members on a frontend
}

// The shapes. What is large is few, as every server has all channels.
var (
	small = shape{"10x100", "party:", 64, 100}
	large = shape{"10x10000", "world:", 4, players}
	nine  = shape{"9x100", "nine:", 16, 100} // without the frontend that stalls
)

const (
	players  = 10_000 // of a frontend
	uidBytes = 13
	msgBytes = 256
)

// names are those of the first n channels.
func (s shape) names(n int) []string {
	names := make([]string, 0, n)
	for i := range n {
		names = append(names, fmt.Sprintf("%s%02d", s.prefix, i))
	}
	return names
}

func shapeNamed(name string) shape {
	for _, s := range []shape{small, large, nine} {
		if s.name == name {
			return s
		}
	}
	return shape{}
}

func (k Case) shape() shape { return shapeNamed(k.Shape) }

// The cases of one way, for each part.

func latencyCases(by string) []Case {
	return []Case{{By: by, Shape: small.name, Channels: small.channels, Callers: 8}}
}

func rateCases(by string) []Case {
	return []Case{
		{By: by, Shape: small.name, Channels: small.channels, Callers: 64},
		{By: by, Shape: small.name, Channels: 1, Callers: 64},
	}
}

func largeCases(by string) []Case {
	return []Case{
		{By: by, Shape: large.name, Channels: large.channels, Callers: 8},
		{By: by, Shape: large.name, Channels: large.channels, Callers: 64},
	}
}

func churnCases(by string) []Case {
	cases := largeCases(by)
	for i := range cases {
		cases[i].Changing = true
	}
	return cases
}

func wireCases(by string) []Case {
	return []Case{
		{By: by, Shape: large.name, Channels: 1, Callers: 1, Counted: true},
		{By: by, Shape: large.name, Channels: large.channels, Callers: 64, Counted: true},
	}
}

// ways are in the order in which they take turns: every other run goes backwards, so
// that none is always measured after the other.
func (o Options) ways(run int) []string {
	ways := []string{server.ByNode}
	if o.Redis != "" {
		ways = append(ways, server.ByAncestor)
	}
	if run%2 == 1 {
		slices.Reverse(ways)
	}
	return ways
}

// String names the case in progress and errors.
func (k Case) String() string {
	text := fmt.Sprintf("%s %s, %d channels", k.By, k.Shape, k.Channels)
	if k.Changing {
		text += " that change"
	}
	return fmt.Sprintf("%s, %d callers", text, k.Callers)
}
