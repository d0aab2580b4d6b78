package state

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pofresh/globalchannel/fsm"
)

const readersEntries = 500 // of a run: it has to be long beside what the scheduler does

// readers measures how much one reader and the applier take from each other when
// both go at full speed: each one's speed beside the other, divided by its speed
// alone just before or after. What the machine takes by itself shows where the reader
// has a state of its own: there is no lock then that both take.
func (b *bench) readers(ctx context.Context) error {
	w, err := b.build(ctx, hundred, 0, 0)
	if err != nil {
		return err
	}
	apart, err := b.build(ctx, hundred, 0, 0)
	if err != nil {
		return err
	}
	var c chunk
	for run := range b.options.Runs + 1 {
		var speeds [3]speed
		order := []int{0, 1, 2}
		if run%2 == 1 {
			slices.Reverse(order)
		}
		for _, i := range order {
			var err error
			switch i {
			case 0:
				speeds[i], err = w.alone(ctx, &c)
			case 1:
				speeds[i], err = w.together(&c, w)
			case 2:
				speeds[i], err = w.together(&c, apart)
			}
			if err != nil {
				return err
			}
		}
		if run == 0 {
			continue // it grew what is used again
		}
		b.add("apply_share", speeds[1].applies/speeds[0].applies)
		b.add("readers_share", speeds[1].reads/speeds[0].reads)
		b.add("apply_share_apart", speeds[2].applies/speeds[0].applies)
		b.add("readers_share_apart", speeds[2].reads/speeds[0].reads)
	}
	return ctx.Err()
}

// speed is operations and reads a second.
type speed struct{ applies, reads float64 }

// alone measures one after the other, the reader for as long as the applier took.
func (w *world) alone(ctx context.Context, c *chunk) (s speed, err error) {
	c.write(w, readersEntries)
	var took time.Duration
	if s.applies, took, err = c.speed(w); err != nil {
		return s, err
	}
	s.reads, err = perSecond(ctx, 1, took, func(random *rand.Rand) error {
		w.readAny(random)
		return nil
	})
	return s, err
}

// together has a reader beside the applier, of the same state or of another one.
func (w *world) together(c *chunk, of *world) (s speed, err error) {
	c.write(w, readersEntries)
	var ended atomic.Bool
	var reads float64
	var reader sync.WaitGroup
	reader.Go(func() {
		random := rand.New(rand.NewPCG(0, 3))
		for !ended.Load() {
			of.readAny(random)
			reads++
		}
	})
	var took time.Duration
	s.applies, took, err = c.speed(w)
	ended.Store(true)
	reader.Wait()
	s.reads = reads / took.Seconds()
	return s, err
}

// speed applies a chunk and gives its operations a second.
func (c *chunk) speed(w *world) (float64, time.Duration, error) {
	began := time.Now()
	changed, err := c.apply(w)
	took := time.Since(began)
	if err != nil {
		return 0, 0, err
	}
	return float64(c.ops) / took.Seconds(), took, check(changed, c.ops)
}

// readAny lists the members of a random channel on a random server.
func (w *world) readAny(random *rand.Rand) {
	channel, sid := uint32(random.IntN(w.shape.Channels)), random.IntN(w.shape.SIDs)
	w.replica.Read(func(s fsm.Reads) { s.MembersBySID(w.names.channel(channel), w.names.sids[sid]).UIDs() })
}
