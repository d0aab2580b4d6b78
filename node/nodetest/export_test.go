package nodetest

import (
	"context"
	"errors"
	"slices"

	"github.com/pofresh/globalchannel/node"
)

// Broken runs checks, all if none is named, and returns what they say: those that pass
// are not in it.
func Broken(ctx context.Context, newManager func() node.ChannelManager, names ...string) map[string]error {
	broken := make(map[string]error)
	for _, c := range managerChecks {
		if len(names) > 0 && !slices.Contains(names, c.name) {
			continue
		}
		if err := runCheck(ctx, newManager(), c.check); err != nil && !errors.Is(err, errNoPurger) {
			broken[c.name] = err
		}
	}
	return broken
}
