package trial

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/faultfs"
	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/nemesis"
	"github.com/pofresh/globalchannel/jepsen_like_test/switchnet"
)

// RunReal runs s on real processes of that binary in that environment, on a network of their own where
// this process may make one. dir, or a new folder if it is "", keeps what a run with
// violations leaves; of any other it is removed.
func RunReal(ctx context.Context, s Spec, b harness.Binary, env []string, dir string) (r *Result, err error) {
	began := time.Now()
	if dir, err = Folder(dir); err != nil {
		return nil, err
	}
	h := history.NewRecorder()
	network, err := switchnet.New(s.Seed)
	if err != nil && !errors.Is(err, switchnet.ErrNotHere) {
		return nil, err
	}
	defer func() {
		if network != nil {
			err = errors.Join(err, network.Close())
		}
	}()
	c, err := harness.NewCluster(b, harness.Options{
		Dir: dir, Secret: realSecret, Servers: realServers(s.Seed), History: h, Network: network, Disks: faultfs.Able() == nil,
		Seed: s.Seed, Env: env, Often: s.Often,
	})
	if err != nil {
		return nil, err
	}
	r, err = onProcesses(ctx, s, c, h)
	if closed := c.Close(); closed != nil && r != nil {
		r.Violations = append(r.Violations, closed.Error()) // a crash, or a process that ended by itself
	}
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, c.Tails(10))
	}
	r.Took = time.Since(began)
	if len(r.Violations) == 0 {
		return r, os.RemoveAll(dir)
	}
	return r, errors.Join(r.Keep(dir, h.Events(), nil), c.WriteLogs(dir))
}

func onProcesses(ctx context.Context, s Spec, c *harness.Cluster, h *history.Recorder) (*Result, error) {
	starting, cancel := context.WithTimeout(ctx, mendTime)
	defer cancel()
	if err := c.Start(starting); err != nil {
		return nil, err
	}
	return Run(ctx, s, nemesis.Real{Cluster: c}, h)
}

const (
	realSecret    = "a secret of more than sixteen bytes"
	realReapAfter = 5 * time.Second
)

// realServers are three voters and none to two others, over one of the two kinds of log.
func realServers(seed uint64) (specs []harness.Spec) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	store := []string{"boltdb", "wal"}[rnd.IntN(2)]
	for i := range 3 {
		specs = append(specs, harness.Spec{SID: fmt.Sprintf("v%d", i+1), SType: SType, Founder: true, LogStore: store})
	}
	for i := range rnd.IntN(3) {
		specs = append(specs, harness.Spec{SID: fmt.Sprintf("r%d", i+1), SType: SType, NonVoter: true, LogStore: store})
	}
	for i := range specs {
		specs[i].ReapAfter = realReapAfter
	}
	return specs
}
