package fsm

import "sync/atomic"

// pins are held by those who use ids without a lock: what an id stands for stays. Ids
// that nothing leads to any more are given free when nobody can have them in hand. That
// is told by epochs: who pins in one is counted under it, the next one begins when all
// of the one before last are done, and an id waits until all are who were there when it
// went. So it waits for those few only, however many others come all the time.
type pins struct {
	_     apart // readers write here all the time, which must not disturb the writer elsewhere
	epoch atomic.Uint64
	_     apart
	held  [2]counter // by the epoch's last bit
}

// apart keeps what readers write and what the writer needs on different cache lines.
type apart [128]byte

type counter struct {
	atomic.Int64
	_ apart
}

// pin returns the epoch, for unpin.
func (p *pins) pin() uint64 {
	for {
		e := p.epoch.Load()
		p.held[e&1].Add(1)
		if p.epoch.Load() == e {
			return e
		}
		p.held[e&1].Add(-1) // it has ended in between
	}
}

func (p *pins) unpin(e uint64) { p.held[e&1].Add(-1) }

// none says that nobody holds a pin. It is the writer's, who asks for what readers cannot
// find any more.
func (p *pins) none() bool { return p.held[0].Load() == 0 && p.held[1].Load() == 0 }

// next begins the next epoch. All of the one before have to be done.
func (p *pins) next() {
	if e := p.epoch.Load(); p.held[(e+1)&1].Load() == 0 {
		p.epoch.Store(e + 1)
	}
}
