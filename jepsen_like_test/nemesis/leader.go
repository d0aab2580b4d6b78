package nemesis

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// Reign is one server's leadership.
type Reign struct {
	Leader *harness.Server
	Term   uint64
}

func (r Reign) String() string { return fmt.Sprintf("%s in term %d", r.Leader.SID, r.Term) }

// Leader waits until one of the servers leads by its own account, in a term above
// after, and all of them agree.
func Leader(ctx context.Context, servers []*harness.Server, after uint64) (Reign, error) {
	var found Reign
	err := harness.Await(ctx, fmt.Sprintf("a leader after term %d", after), func(ctx context.Context) (err error) {
		found, err = agreed(ctx, servers, after)
		return err
	})
	return found, err
}

func agreed(ctx context.Context, servers []*harness.Server, after uint64) (Reign, error) {
	statuses := make([]*pb.StatusResponse, len(servers))
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() { statuses[i], errs[i] = s.Status(ctx, false) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return Reign{}, err
	}
	i, err := leads(statuses, after)
	if err != nil {
		return Reign{}, err
	}
	return Reign{servers[i], statuses[i].GetTerm()}, nil
}

// leads finds the one that leads in a term above after and that all follow.
func leads(statuses []*pb.StatusResponse, after uint64) (leader int, err error) {
	leader = -1
	for i, st := range statuses {
		switch first := statuses[0]; {
		case st.GetTerm() <= after || st.GetLeader() == "":
			return -1, fmt.Errorf("%s knows leader %q in term %d", st.GetSid(), st.GetLeader(), st.GetTerm())
		case st.GetTerm() != first.GetTerm() || st.GetLeader() != first.GetLeader():
			return -1, fmt.Errorf("%s follows %q in term %d, %s follows %q in term %d",
				first.GetSid(), first.GetLeader(), first.GetTerm(), st.GetSid(), st.GetLeader(), st.GetTerm())
		case st.GetLeader() == st.GetSid():
			leader = i
		}
	}
	if leader < 0 {
		return -1, fmt.Errorf("all follow %q, which is none of them", statuses[0].GetLeader())
	}
	return leader, nil
}

// others are the servers without one.
func others(servers []*harness.Server, not *harness.Server) []*harness.Server {
	var rest []*harness.Server
	for _, s := range servers {
		if s != not {
			rest = append(rest, s)
		}
	}
	return rest
}
