package jepsen_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/faultfs"
	"github.com/pofresh/globalchannel/jepsen_like_test/harness"
	"github.com/pofresh/globalchannel/jepsen_like_test/switchnet"
	"github.com/pofresh/globalchannel/jepsen_like_test/trial"
)

// One run as campaigns make them: real processes, networks and disks of their own.
func TestTrial_OfRealProcesses(t *testing.T) {
	t.Parallel() // it mostly waits
	switch err := switchnet.Able(); {
	case errors.Is(err, switchnet.ErrNotHere):
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	if err := faultfs.Able(); err != nil {
		t.Skipf("skipped, no disks that can be spoiled: %v", err)
	}
	try(t, trial.Spec{Workload: "register", Nemeses: []string{"kill-leader", "isolate-leader", "power-cut-all"}})
}

// Pushes to attached frontends, wherever there are processes.
func TestTrial_OfPushes(t *testing.T) {
	t.Parallel()
	try(t, trial.Spec{Workload: trial.Push, Nemeses: []string{"kill-leader", "pause-follower"}, Calm: 0.3})
}

func try(t *testing.T, s trial.Spec) {
	t.Helper()
	s.Seed, s.Time = *seedFlag, 20*time.Second
	if s.Seed == 0 {
		s.Seed = rand.Uint64()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	r, err := trial.RunReal(ctx, s, harness.Binary{Path: binary().Path}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r)
	if len(r.Violations) > 0 || !r.Valid() {
		t.Error("see above")
	}
}
