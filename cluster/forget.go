package cluster

import (
	"context"
	"log/slog"
	"time"
)

// oblivion finds out which ended lives nobody will ask for any more. It has no
// clock and no goroutine.
type oblivion struct {
	looked time.Time
	awake  time.Duration // of this term, stalls left out: a process that slept for an hour has not given anybody an hour to come back
	ended  map[lifeID]time.Duration
}

// due returns the index up to which all ended lives have been over for as long as
// after, as far as this leader has seen; 0: none.
func (o *oblivion) due(now time.Time, lives []Life, after time.Duration) uint64 {
	if !o.looked.IsZero() {
		o.awake += min(now.Sub(o.looked), stallAfter)
	}
	o.looked = now
	before := o.ended
	o.ended = make(map[lifeID]time.Duration, len(before))
	young := ^uint64(0) // the first of those that are to stay
	for _, l := range lives {
		if l.Up {
			continue
		}
		since, known := before[l.id()]
		if !known {
			since = o.awake
		}
		o.ended[l.id()] = since
		if o.awake-since < after {
			young = min(young, l.Changed)
		}
	}
	var upTo uint64
	for _, l := range lives {
		if !l.Up && l.Changed < young {
			upTo = max(upTo, l.Changed)
		}
	}
	return upTo
}

// forgetting drops the records of lives that ended long ago, while this node leads.
type forgetting struct {
	state       State
	forgetAfter func() time.Duration
	logger      *slog.Logger
}

// lead works until ctx ends. A new leader gives everybody the whole time again.
func (f *forgetting) lead(ctx context.Context) {
	var o oblivion
	every(ctx, time.Second, func() {
		upTo := o.due(time.Now(), f.state.Lives(), f.forgetAfter())
		if upTo == 0 || f.state.Level() == firstLevel { // whose servers do not know how
			return
		}
		timed, cancel := context.WithTimeout(ctx, commitWait)
		defer cancel()
		if err := f.state.Forget(timed, upTo); err != nil {
			f.logger.Debug("ended lives not forgotten", "index", upTo, "error", err)
			return
		}
		f.logger.Info("ended lives forgotten", "index", upTo)
	})
}
