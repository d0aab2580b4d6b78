package nemesis

import (
	"context"
	"errors"
	"testing"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// paperPauses is a paper cluster whose servers answer a few times more when they are paused.
type paperPauses struct {
	*paper
	late   int
	paused bool
}

func (p *paperPauses) Pause(...string) error  { p.paused = true; return nil }
func (p *paperPauses) Resume(...string) error { p.paused = false; return nil }

func (p *paperPauses) Status(ctx context.Context, sid string) (*pb.StatusResponse, error) {
	if p.paused {
		if p.late == 0 {
			return nil, errors.New("no answer")
		}
		p.late--
	}
	return p.paper.Status(ctx, sid)
}

func TestPauseFollower_IsSeenByAQuestionWithoutAnAnswer(t *testing.T) {
	for late, seen := range map[int]bool{0: true, 1: true, 100: false} {
		var all []*paperPauses
		_, errs, _ := suffersAs(t, "pause-follower", 3, func(p *paper) Cluster {
			c := &paperPauses{paper: p, late: late}
			all = append(all, c)
			return c
		})
		for i, err := range errs {
			if seen != (err == nil) || !seen && !errors.Is(err, ErrUnseen) || all[i].paused {
				t.Errorf("%d late answers, seed %d: %v; want it seen: %v", late, i, err, seen)
			}
		}
	}
}
