package memnet

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Weather is what becomes of what one machine sends another. The zero value is good weather.
//
// Packets are lost, doubled and overtaken. A stream loses and reorders nothing: what of it is lost is sent again, which
// holds up all that follows in that direction. Here that takes 200 ms the first time (a second for a dial, as on Linux) and
// twice as long each time that it is lost again; the eighth attempt succeeds, after 25 s (a dial: 127 s).
type Weather struct {
	Delay, Jitter time.Duration // one way, added to the latency; of Jitter any part
	Loss          float64       // of packets, and of the packets that streams consist of: 0 to 1
	Duplicate     float64       // of packets: the share that comes twice
	Reorder       float64       // of packets: the share that comes behind the next one, or a second late if none is sent
}

const (
	retransmission     = 200 * time.Millisecond // Linux's least
	dialRetransmission = time.Second
	attempts           = 8
	segmentSize        = 1448 // bytes of a stream in one packet of Ethernet
	overtaking         = time.Second
)

func (w Weather) clean() Weather {
	share := func(x float64) float64 { return min(max(x, 0), 1) }
	return Weather{max(w.Delay, 0), max(w.Jitter, 0), share(w.Loss), share(w.Duplicate), share(w.Reorder)}
}

// SetWeather sets the weather of one direction for what is sent from now on; what is in flight keeps its time. Addresses
// are as for Cut. A machine reaches itself in any weather.
func (n *Net) SetWeather(from, to string, w Weather) {
	if l, ok := parseLink(from, to); ok {
		n.sky.change(func(f *forecast) { f.of[l] = w.clean() })
	}
}

// SetWeatherEverywhere sets the weather of all directions, in place of what SetWeather has set.
func (n *Net) SetWeatherEverywhere(w Weather) {
	n.sky.change(func(f *forecast) { f.everywhere = w.clean(); clear(f.of) })
}

// Seed makes what is left to chance come out as it did with that seed; at first it is 0. Each direction has chances
// of its own, for packets and for streams: they are the same as long as it is sent the same things in the same order.
func (n *Net) Seed(seed uint64) { n.sky.sow(seed) }

// sky is the weather of all directions, and the chances in it.
type sky struct {
	now     atomic.Pointer[forecast]
	touched atomic.Uint64 // what was spoiled, by cuts too

	mu   sync.Mutex // guards what follows; no other lock is taken under it
	seed uint64
	dice map[chances]*rand.Rand
}

// forecast is never changed once it is in the sky, so that good weather costs no lock.
type forecast struct {
	latency    time.Duration
	everywhere Weather
	of         map[link]Weather // in place of everywhere
}

// chances are those of one direction.
type chances struct {
	link
	packets bool
}

func newSky() *sky {
	s := &sky{dice: make(map[chances]*rand.Rand)}
	s.now.Store(new(forecast))
	return s
}

func (s *sky) change(how func(*forecast)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.now.Load()
	next := &forecast{latency: old.latency, everywhere: old.everywhere, of: make(map[link]Weather)}
	for l, w := range old.of {
		next.of[l] = w
	}
	how(next)
	s.now.Store(next)
}

func (s *sky) sow(seed uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seed = seed
	clear(s.dice)
}

// roll calls use with the chances of a direction.
func (s *sky) roll(c chances, use func(*rand.Rand)) {
	s.touched.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.dice[c]
	if r == nil {
		h := fnv.New64a()
		from, to := c.from.As16(), c.to.As16()
		h.Write(from[:])
		h.Write(to[:])
		if c.packets {
			h.Write([]byte{1})
		}
		r = rand.New(rand.NewPCG(s.seed, h.Sum64()))
		s.dice[c] = r
	}
	use(r)
}

// weather returns the latency too. A machine reaches itself at once.
func (s *sky) weather(l link) (time.Duration, Weather) {
	if l.from == l.to {
		return 0, Weather{}
	}
	now := s.now.Load()
	w, ok := now.of[l]
	if !ok {
		w = now.everywhere
	}
	return now.latency, w
}

// stream is how long so many bytes of a stream take, and repeat how long it takes to miss what was lost.
func (s *sky) stream(l link, size int, repeat time.Duration) time.Duration {
	trip, w := s.weather(l)
	if w == (Weather{}) {
		return trip
	}
	trip += w.Delay
	s.roll(chances{link: l}, func(r *rand.Rand) {
		trip += part(r, w.Jitter)
		loss := 1 - math.Pow(1-w.Loss, float64(1+size/segmentSize)) // of any of its packets
		for i := 1; i < attempts && r.Float64() < loss; i++ {
			trip += repeat
			repeat *= 2
			loss = w.Loss
		}
	})
	return trip
}

// fate is what becomes of a packet: when its copies arrive, and whether others overtake them.
type fate struct {
	trips     [2]time.Duration
	copies    int
	overtaken bool
}

func (s *sky) packet(l link) fate {
	trip, w := s.weather(l)
	f := fate{copies: 1}
	f.trips[0] = trip
	if w == (Weather{}) {
		return f
	}
	s.roll(chances{l, true}, func(r *rand.Rand) {
		// Always all of them, so that those of the next packet do not depend on the weather for this one.
		lost, doubled, late := r.Float64() < w.Loss, r.Float64() < w.Duplicate, r.Float64() < w.Reorder
		for i := range f.trips {
			f.trips[i] = trip + w.Delay + part(r, w.Jitter)
		}
		switch {
		case lost:
			f.copies = 0
		case doubled:
			f.copies = 2
		}
		f.overtaken = late
	})
	return f
}

// part is any part of d.
func part(r *rand.Rand, d time.Duration) time.Duration {
	x := r.Float64()
	return time.Duration(x * float64(d))
}
