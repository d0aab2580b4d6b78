package fsm

import "sync/atomic"

// pins are held by the readers of captures and of long lists, who use ids beside the
// writer: what an id stands for stays. Ids that nothing leads to any more are given free when no reader can
// have them in hand. That is told by epochs: who pins in one is counted under it, the next
// one begins when all of the one before last are done, and an id waits until all are who
// were there when it went. So a reader that hangs holds up what went in its time.
type pins struct {
	epoch uint64          // the writer's
	held  [2]atomic.Int64 // by the epoch's last bit
}

// pin is for a reader that comes; the epoch does not end meanwhile. It returns the epoch, for unpin.
func (p *pins) pin() uint64 {
	p.held[p.epoch&1].Add(1)
	return p.epoch
}

// unpin is the reader's.
func (p *pins) unpin(e uint64) { p.held[e&1].Add(-1) }

// none says that nobody holds a pin, so that nobody reads beside the writer, who asks.
func (p *pins) none() bool { return p.held[0].Load() == 0 && p.held[1].Load() == 0 }

// next begins the next epoch. All of the one before have to be done.
func (p *pins) next() {
	if p.held[(p.epoch+1)&1].Load() == 0 {
		p.epoch++
	}
}
