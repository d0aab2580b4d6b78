package load

import (
	"context"
	"math/rand/v2"
	"strconv"
)

// What the load plays with.
const (
	Channels = 1000
	Standing = 10_000 // members that are there all the time
	uids     = 200_000
	held     = 4 // members that a caller has added and not yet removed
)

// Crowd has the names of channels and players ready, so that making them is no
// part of what is measured.
type Crowd struct{ channels, uids []string }

// NewCrowd makes the names; prefix stands before those of channels.
func NewCrowd(prefix string) *Crowd {
	c := &Crowd{}
	for i := range Channels {
		c.channels = append(c.channels, prefix+Channel(i))
	}
	for i := range uids {
		c.uids = append(c.uids, "player-"+strconv.Itoa(i))
	}
	return c
}

// Channel is the name of the i-th of a crowd without a prefix.
func Channel(i int) string { return "guild:" + strconv.Itoa(i) }

// Channels lists all channels' names.
func (c *Crowd) Channels() []string { return c.channels }

// Pair is one player in one channel.
type Pair struct{ Name, UID string }

// Member is the i-th of those that are there all the time.
func (c *Crowd) Member(i int) Pair {
	return Pair{c.channels[i%Channels], c.uids[i%uids]}
}

func (c *Crowd) any(r *rand.Rand) Pair {
	return Pair{c.channels[r.IntN(Channels)], c.uids[r.IntN(uids)]}
}

// Write is how a system adds and removes one member.
type Write func(ctx context.Context, p Pair) error

// AddAndLeave is a caller who adds a random player to a random channel, nearly
// always a new member, and then removes the one it added a few calls ago: adds and
// leaves in equal parts, and a state that does not grow.
func (c *Crowd) AddAndLeave(caller int, add, leave Write) Step {
	random := rand.New(rand.NewPCG(uint64(caller), 7))
	var mine []Pair
	return func(ctx context.Context) (int, error) {
		if len(mine) == held {
			oldest := mine[0]
			if err := leave(ctx, oldest); err != nil {
				return 0, err
			}
			mine = append(mine[:0], mine[1:]...)
			return 1, nil
		}
		p := c.any(random)
		if err := add(ctx, p); err != nil {
			return 0, err
		}
		mine = append(mine, p)
		return 1, nil
	}
}

// Groups is a caller whose calls are of size operations: half of them add random
// players, the other half remove those that its last call added.
func (c *Crowd) Groups(caller, size int, apply func(ctx context.Context, add, leave []Pair) error) Step {
	random := rand.New(rand.NewPCG(uint64(caller), 11))
	var last []Pair
	return func(ctx context.Context) (int, error) {
		next := make([]Pair, 0, size)
		for len(next)+len(last) < size {
			next = append(next, c.any(random))
		}
		if err := apply(ctx, next, last); err != nil {
			return 0, err
		}
		if last = next; len(last) > size/2 {
			last = last[:size/2]
		}
		return size, nil
	}
}
