package cluster

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// strayTime is how long a server whose log knows others waits for one of them
	// while all its seeds are another cluster's. They may be about to start again;
	// addresses of theirs may have gone to the other cluster meanwhile.
	strayTime     = 30 * time.Second
	strayInterval = rejoinInterval
	strayTimeout  = 2 * time.Second
	maxStrayAsked = 64
)

// unsure: the log knows nobody but this server, so it could go on alone as the
// cluster of its data directory, whatever it was pointed at. It has to hear first
// what its seeds say: "start here with that directory, but join those" is a mistake
// that must not look like success.
func (j *joining) unsure() bool {
	if j.sure {
		return false
	}
	servers, err := j.consensus.Configuration()
	return err == nil && len(servers) == 1 && servers[0].NodeID == j.self.NodeID
}

// astray is errRefused when every seed is a server of another cluster and says so,
// and nobody of this one answers: at once if the log knows nobody else, after
// strayTime otherwise. A single seed that is silent, or ours, is reason to wait: an
// address that was reused must not end a server.
func (j *joining) astray(ctx context.Context, r JoinRequest) error {
	lone := j.unsure()
	j.sure = true
	leader, _ := j.consensus.Leader()
	if len(j.fellows(r.ClusterID)) > 0 || leader != "" && !lone {
		j.stray, j.since = "", time.Time{}
		return nil
	}
	if now := time.Now(); now.Before(j.nextCheck) {
		return nil
	} else {
		j.nextCheck = now.Add(strayInterval)
	}
	reason := j.refusedByAll(ctx, r)
	if ctx.Err() != nil {
		return nil
	}
	j.stray = reason
	switch {
	case reason == "":
		j.since = time.Time{}
	case lone, !j.since.IsZero() && time.Since(j.since) >= strayTime:
		return errRefused{reason}
	case j.since.IsZero():
		j.since = time.Now()
	}
	return nil
}

// refusedByAll asks all seeds at once, and gives one's reason if each refused.
func (j *joining) refusedByAll(ctx context.Context, r JoinRequest) string {
	seeds := sample(j.seeds(), maxStrayAsked)
	ctx, cancel := context.WithTimeout(ctx, strayTimeout)
	defer cancel()
	reasons := make([]string, len(seeds))
	var group sync.WaitGroup
	for i, addr := range seeds {
		group.Go(func() {
			if reply, err := j.peers.Join(ctx, addr, r); err == nil && reply.Refused {
				reasons[i] = reply.Reason
			}
		})
	}
	group.Wait()
	if len(reasons) == 0 || slices.Contains(reasons, "") {
		return ""
	}
	return reasons[0]
}
