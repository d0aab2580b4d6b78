package fleetsize

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/pofresh/globalchannel/cmd/bench/internal/fleet"
	"github.com/pofresh/globalchannel/cmd/bench/internal/meter"
	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
)

// NewCommand is "fleet".
func NewCommand() *cobra.Command {
	o := defaults()
	cmd := &cobra.Command{
		Use:   "fleet",
		Short: "Measure a fleet of many servers: its leader, new servers, failover",
		Long: `fleet starts a leader in a process of its own and all other servers of a fleet in a second one, in memory,
and measures what the leader spends and sends while the fleet is idle and while its servers write at a steady
rate; then how soon a new, empty server can be read from; then, in a fleet whose voters are processes with data
directories, for how long writes stand still when the leader is killed. With the defaults it takes about half an
hour. A part whose time or number is 0 is left out.`,
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return o.validate() },
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Voters, "voters", o.Voters, "servers that vote, the leader included")
	f.IntVar(&o.Replicas, "replicas", o.Replicas, "servers beside them that never vote")
	f.BoolVar(&o.Disk, "disk", false, "give the voters data directories; without, all servers are in memory")
	f.StringVar(&o.Dir, "dir", "", "where data directories are made and removed (default: the system's directory for temporary files)")
	f.StringVar(&o.Profile, "profile", "", "write CPU profiles of the leader, idle and under load, into this directory")
	f.VarP(&o.Format, "output", "o", "table or json")
	f.DurationVar(&o.Idle, "idle", o.Idle, "how long to watch the idle fleet")
	f.DurationVar(&o.Load, "load", o.Load, "how long to watch it under load")
	f.DurationVar(&o.WarmUp, "warm-up", o.WarmUp, "how long to wait before either")
	f.IntVar(&o.Rate, "rate", o.Rate, "writes a second, from all servers but the leader")
	f.IntVar(&o.Callers, "callers", o.Callers, "how many of them may be outstanding")
	f.IntVar(&o.LagSamples, "lag-samples", o.LagSamples, "how many writes the lag of a replica is measured with, idle and under load")
	f.IntVar(&o.Starts, "starts", o.Starts, "how many servers are started into an empty cluster, and again into one with --members")
	f.IntVar(&o.Members, "members", o.Members, "how many memberships the latter has")
	f.IntVar(&o.Kills, "kills", o.Kills, "how many leaders are killed")
	f.IntVar(&o.FailoverReplicas, "failover-replicas", o.FailoverReplicas, "servers beside the voters that never vote, while leaders are killed")
	return cmd
}

// run prints what it could measure, also if it could not measure all.
func run(ctx context.Context, o Options, out, log io.Writer) (err error) {
	space, err := fleet.NewWorkspace(o.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, space.Close()) }()
	sync, err := meter.SyncTime(space.Dir)
	if err != nil {
		return err
	}
	b := &bench{options: o, space: space, log: log}
	err = b.run(ctx)
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return errors.Join(err, report.Print(o.Format, out, b.document(sync), printTable))
}
