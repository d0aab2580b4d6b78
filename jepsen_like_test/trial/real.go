package trial

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/faultfs"
	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/nemesis"
	"github.com/pofresh/globalchannel/jepsen_like_test/switchnet"
	"github.com/pofresh/globalchannel/jepsen_like_test/workload"
)

// RunReal runs s on real processes of that binary in that environment, on a network and
// on disks of their own where this process may make them. dir, or a new folder if it is
// "", keeps what a run with violations leaves.
func RunReal(ctx context.Context, s Spec, b harness.Binary, env []string, dir string) (r *Result, err error) {
	began := time.Now()
	dir, remove, err := Folder(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if r == nil || len(r.Violations) == 0 {
			remove()
		}
	}()
	h := history.NewRecorder()
	network, err := switchnet.New(s.Seed)
	switch {
	case err == nil:
		defer func() { err = errors.Join(err, network.Close()) }()
		if err := network.SetLatency(s.Latency); err != nil {
			return nil, err
		}
	case s.Latency != 0 || !errors.Is(err, switchnet.ErrNotHere):
		return nil, err
	}
	c, err := harness.NewCluster(b, harness.Options{
		Dir: dir, Secret: realSecret, Servers: realServers(s.Seed), History: h, Network: network, Disks: faultfs.Able() == nil,
		Seed: s.Seed, Env: env, Often: s.Often,
	})
	if err != nil {
		return nil, err
	}
	judge, failed := onProcesses(ctx, s, c, h)
	closed := c.Close() // tells of a crash, and of a process that ended by itself
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case failed != nil && closed == nil:
		return nil, fmt.Errorf("%w\n%s", failed, c.Tails(10))
	case failed != nil:
		r = &Result{Spec: s}
		closed = errors.Join(closed, failed)
	default:
		r = judge()
	}
	if closed != nil {
		r.Violations = append(r.Violations, closed.Error())
	}
	r.Took = time.Since(began)
	if len(r.Violations) == 0 {
		return r, nil
	}
	return r, errors.Join(r.Keep(dir, h.Events(), nil), c.WriteLogs(dir))
}

func onProcesses(ctx context.Context, s Spec, c *harness.Cluster, h *history.Recorder) (judge func() *Result, err error) {
	starting, cancel := context.WithTimeout(ctx, mendTime)
	defer cancel()
	if err := c.Start(starting); err != nil {
		return nil, err
	}
	return Run(ctx, s, nemesis.Real{Cluster: c}, h)
}

const realSecret = "a secret of more than sixteen bytes"

// realServers are three voters and none to two others, over one of the two kinds of log.
func realServers(seed uint64) (specs []harness.Spec) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	store := []string{"boltdb", "wal"}[rnd.IntN(2)]
	for i := range 3 {
		specs = append(specs, harness.Spec{SID: fmt.Sprintf("v%d", i+1), SType: workload.SType, Founder: true, LogStore: store})
	}
	for i := range rnd.IntN(3) {
		specs = append(specs, harness.Spec{SID: fmt.Sprintf("r%d", i+1), SType: workload.SType, NonVoter: true, LogStore: store})
	}
	for i := range specs {
		specs[i].ReapAfter = nemesis.ReapAfter
	}
	return specs
}
