package server

import (
	"context"
	"strconv"

	"github.com/pofresh/globalchannel/cmd/bench/internal/load"
)

// changing adds or removes one member in several channels.
type changing func(ctx context.Context, channels []string, sid, uid string) error

// steps: what a caller that was stopped in between has left behind, it removes when it
// comes to that server again.
func (c *Churn) steps(add, leave changing) func(caller int) load.Step {
	return func(caller int) load.Step {
		uid := "late-" + strconv.Itoa(caller)
		calls := 0
		return func(ctx context.Context) (int, error) {
			do := add
			if calls%2 == 1 {
				do = leave
			}
			sid := c.SIDs[(caller+calls/2)%len(c.SIDs)]
			if err := do(ctx, c.Channels, sid, uid); err != nil {
				return 0, err
			}
			calls++
			return 1, nil
		}
	}
}
