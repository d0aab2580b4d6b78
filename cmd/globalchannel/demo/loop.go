package demo

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// everybodyIn lists the servers whose players are not all logged in.
func (r *run) everybodyIn() []string {
	var missing []string
	for _, s := range r.servers {
		if !s.full || s.kill != nil {
			missing = append(missing, s.waitsFor())
		}
	}
	return missing
}

// until handles events until nothing is missing any more. Each want lists what is.
func (r *run) until(ctx context.Context, wants ...func() []string) error {
	missing := func() (all []string) {
		for _, want := range wants {
			all = append(all, want()...)
		}
		return all
	}
	deadline := r.now() + patience
	return r.loop(ctx, func() (bool, error) {
		m := missing()
		if len(m) > 0 && r.now() > deadline {
			return false, fmt.Errorf("after %v still missing: %s", patience, strings.Join(m, "; "))
		}
		return len(m) == 0, nil
	})
}

func (r *run) untilClock(ctx context.Context, at time.Duration) error {
	return r.loop(ctx, func() (bool, error) { return r.now() >= at, nil })
}

// loop is the one place where events are taken in.
func (r *run) loop(ctx context.Context, done func() (bool, error)) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		if r.failure != nil {
			return r.failure
		}
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case e := <-r.fleet.events:
			r.handle(e)
		case <-ticker.C:
			r.restart()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// restart starts again whoever was killed long enough ago.
func (r *run) restart() {
	for _, s := range r.servers {
		if s.kill != nil && s.kill.dead && !s.kill.stay && !s.up && r.now() >= s.kill.at+restartAfter {
			if err := r.start(s); err != nil {
				r.failure = err
			}
		}
	}
}
