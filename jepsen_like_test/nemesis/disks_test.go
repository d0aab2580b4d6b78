package nemesis

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// paperDisks is a paper cluster with a log that grows by itself.
type paperDisks struct {
	*paper
	Disks // only what follows is there

	began time.Time
	lags  time.Duration // the other voters behind the victim
	epoch uint64
	down  string
	index uint64 // of the victim's disk
	fake  bool   // the copy that is put back is no older

	empty  bool          // the victim's disk is
	counts time.Duration // after its start, what it was before has a vote yet
	mended time.Time     // when it has not
	asked  time.Time     // when somebody was asked last

	behind uint64 // how far the others were behind the victim when it was set back
}

func (p *paperDisks) now() uint64 { return uint64(time.Since(p.began) / time.Millisecond) }

func (p *paperDisks) others() uint64 {
	return uint64((time.Since(p.began) - p.lags) / time.Millisecond)
}

func (p *paperDisks) Kill(sids ...string) error {
	p.down, p.index = sids[0], p.now()
	return nil
}

func (p *paperDisks) Start(context.Context, ...string) error {
	p.down = ""
	p.epoch++
	if p.empty {
		p.mended = time.Now().Add(p.counts)
	}
	return nil
}

func (p *paperDisks) Status(ctx context.Context, sid string) (*pb.StatusResponse, error) {
	if sid == p.down {
		return nil, errors.New(sid + " is down")
	}
	p.asked = time.Now()
	st, err := p.paper.Status(ctx, sid)
	if err == nil {
		st.Applied, st.Epoch, st.Voters = p.others(), p.epoch, uint32(len(p.voters))
		if time.Now().Before(p.mended) {
			st.Voters++
		}
	}
	return st, err
}

func (p *paperDisks) Copy(sid string) (restore func() error, err error) {
	if sid != p.down {
		return nil, errors.New(sid + " runs")
	}
	was := p.index
	return func() error {
		p.behind = p.index - min(p.index, p.others())
		if !p.fake {
			p.index = was
		}
		return nil
	}, nil
}

func (p *paperDisks) LastIndex(string) (uint64, error) { return p.index, nil }

func (p *paperDisks) Wipe(string) error {
	p.empty = true
	return nil
}

// The fault is over when the server that it was has no vote any more: until then the
// cluster bears no second one.
func TestWiped_LastsUntilTheOldOneHasNoVote(t *testing.T) {
	var disks []*paperDisks
	_, errs, _ := suffersAs(t, "wiped", 5, func(p *paper) Cluster {
		d := &paperDisks{paper: p, epoch: 1, began: time.Now(), counts: 7 * time.Second}
		disks = append(disks, d)
		return d
	})
	for i, d := range disks {
		if errs[i] != nil || !d.empty || d.asked.Before(d.mended) {
			t.Errorf("seed %d: %v; it was over %v before the old one had no vote", i, errs[i], d.mended.Sub(d.asked))
		}
	}
}

// What one is about to forget all others have; and that something was forgotten is seen.
func TestStale_ForgetsWhatAllOthersHave(t *testing.T) {
	for _, fake := range []bool{false, true} {
		var disks []*paperDisks
		seen, errs, _ := suffersAs(t, "stale", 10, func(p *paper) Cluster {
			d := &paperDisks{paper: p, epoch: 1, began: time.Now(), lags: 5 * time.Second, fake: fake}
			disks = append(disks, d)
			return d
		})
		for i, d := range disks {
			switch {
			case fake && !errors.Is(errs[i], ErrUnseen):
				t.Errorf("seed %d: nothing was set back, and it was seen: %v, %s", i, errs[i], seen[i])
			case !fake && (errs[i] != nil || !strings.Contains(seen[i], "when it came back")):
				t.Errorf("seed %d: %v, %s", i, errs[i], seen[i])
			}
			if d.behind > 0 || d.down != "" || d.epoch != 3 {
				t.Errorf("seed %d: others were %d entries behind; %q is down after %d starts", i, d.behind, d.down, d.epoch-1)
			}
		}
	}
}
