package harness

import (
	"context"
	"fmt"
	"time"
)

// often is how often Await asks. What it asks for is in another process, so there
// is nothing to wait on.
const often = 20 * time.Millisecond

// Await asks until ready returns nil. If ctx ends first, the error has the last reason.
func Await(ctx context.Context, what string, ready func(ctx context.Context) error) error {
	ticker := time.NewTicker(often)
	defer ticker.Stop()
	var last error
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err // the end of ctx is no reason
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w: %w", what, context.Cause(ctx), last)
		}
	}
}
