package server

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/meter"
	"github.com/pofresh/globalchannel/node"
)

// lagWrite adds one member after the other to an otherwise idle cluster and says
// when each was acknowledged.
func (c *child) lagWrite(ctx context.Context, l Lag) ([]Sighting, error) {
	n, err := c.node()
	if err != nil {
		return nil, err
	}
	var acked []Sighting
	for i := range l.Samples {
		wait(ctx, l.Every+rand.N(l.Every)) // in step with no timer of the cluster
		uid := "late-" + strconv.Itoa(i)
		if err := n.Add(ctx, l.Channel, uid, n.sid); err != nil {
			return nil, fmt.Errorf("add %s: %w", uid, err)
		}
		acked = append(acked, Sighting{UID: uid, At: meter.Now()})
	}
	return acked, nil
}

// lagTimeout bounds the wait for all members.
const lagTimeout = 5 * time.Minute

// lagWatch says when each member came into this node's replica. It wakes with
// each index that the replica applies, so it is late by the wake-up of a goroutine
// and the reading of one channel.
func (c *child) lagWatch(ctx context.Context, l Lag) ([]Sighting, error) {
	n, err := c.node()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lagTimeout)
	defer cancel()
	seen := make(map[string]bool)
	var sightings []Sighting
	for {
		next := n.Index() + 1 // read before the members: what comes meanwhile wakes the wait below
		members, err := n.Members(ctx, l.Channel, node.Stale())
		if err != nil {
			return nil, err
		}
		now := meter.Now()
		for m := range members {
			if !seen[m.UID] {
				seen[m.UID] = true
				sightings = append(sightings, Sighting{UID: m.UID, At: now})
			}
		}
		if len(sightings) >= l.Samples {
			return sightings, nil
		}
		if _, err := n.MembersBySID(ctx, l.Channel, n.sid, node.AtLeast(next)); err != nil {
			return nil, fmt.Errorf("saw %d of %d members: %w", len(sightings), l.Samples, err)
		}
	}
}
