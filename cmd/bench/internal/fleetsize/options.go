package fleetsize

import (
	"fmt"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
)

// Options are the flags.
type Options struct {
	Voters, Replicas int
	Disk             bool // voters have data directories
	Dir              string
	Profile          string // directory for CPU profiles of the leader; "": none
	Format           report.Format

	Idle, Load    time.Duration
	Rate, Callers int
	LagSamples    int
	WarmUp        time.Duration // before what is watched

	Starts, Members int

	Kills, FailoverReplicas int
}

// defaults are what the project's figures are measured with.
func defaults() Options {
	return Options{
		Voters: 5, Replicas: 45,
		Idle: 10 * time.Minute, Load: 10 * time.Minute, Rate: 2000, Callers: 500, LagSamples: 100, WarmUp: 5 * time.Second,
		Starts: 20, Members: 100_000,
		Kills: 30, FailoverReplicas: 20,
	}
}

const (
	mostVoters  = 5 // of a cluster with default settings
	mostMembers = 200_000
)

func (o Options) validate() error {
	switch {
	case o.Voters < 1 || o.Voters > mostVoters:
		return fmt.Errorf("--voters is %d; 1 to %d are allowed", o.Voters, mostVoters)
	case o.Replicas < 0 || o.Voters+o.Replicas < 2:
		return fmt.Errorf("--replicas is %d; a leader and at least one other server are needed", o.Replicas)
	case o.Idle < 0 || o.Load < 0 || o.WarmUp < 0:
		return fmt.Errorf("--idle is %v, --load %v and --warm-up %v; all are times, 0 leaves one out", o.Idle, o.Load, o.WarmUp)
	case o.Rate < 1 || o.Callers < 1:
		return fmt.Errorf("--rate is %d and --callers %d; both are numbers from 1 on", o.Rate, o.Callers)
	case o.LagSamples < 0 || o.Starts < 0 || o.Kills < 0 || o.FailoverReplicas < 0:
		return fmt.Errorf("--lag-samples, --starts, --kills and --failover-replicas are numbers from 0 on")
	case o.Members < 1 || o.Members > mostMembers:
		return fmt.Errorf("--members is %d; 1 to %d are allowed", o.Members, mostMembers)
	case o.Kills > 0 && o.Voters < 3:
		return fmt.Errorf("--kills is %d, but %d voters do not survive the loss of one", o.Kills, o.Voters)
	}
	return nil
}
