package writes

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/pofresh/globalchannel/cmd/bench/internal/fleet"
	"github.com/pofresh/globalchannel/cmd/bench/internal/meter"
	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
)

// NewCommand is "writes".
func NewCommand() *cobra.Command {
	o := defaults()
	cmd := &cobra.Command{
		Use:   "writes",
		Short: "Measure writes, side by side with Redis and bare Raft",
		Long: `writes starts three servers as processes of this machine, on real disks, and measures single calls and
groups, on the leader and on a follower, for each log store; then the lag of a follower, and for how long
writes stand still when the leader is killed or closed. Redis and bare Raft, if asked for, take turns with it
in the same run. With the defaults and both, it takes about twenty minutes.`,
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return o.validate() },
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Redis, "redis", "", "measure the Redis at this host:port too; it writes sets named globalchannel-bench:* and removes them")
	f.IntVar(&o.Pool, "redis-pool", 0, "connections to Redis at most (default: one for each outstanding call, as far as its maxclients allows)")
	f.BoolVar(&o.Raft, "raft", false, "measure bare hashicorp/raft on the same stores too")
	f.VarP(&o.Format, "output", "o", "table or json")
	f.StringVar(&o.Dir, "dir", "", "where the data directories are made and removed (default: the system's directory for temporary files)")
	f.StringSliceVar(&o.Stores, "stores", o.Stores, "log stores; leaders are killed on the first one")
	f.IntSliceVar(&o.Outstanding, "outstanding", o.Outstanding, "callers, each with one call outstanding")
	f.IntVar(&o.Runs, "runs", o.Runs, "how often each case is measured; the systems take turns")
	f.DurationVar(&o.Duration, "duration", o.Duration, "how long each case is measured")
	f.DurationVar(&o.WarmUp, "warm-up", o.WarmUp, "how long its load goes on before that")
	f.IntVar(&o.Kills, "kills", o.Kills, "how many leaders are killed")
	f.IntVar(&o.Handovers, "handovers", o.Handovers, "how many leaders are closed")
	f.IntVar(&o.LagSamples, "lag-samples", o.LagSamples, "how many writes the lag of a follower is measured with")
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
	if errors.Is(err, errInterrupted) || (err != nil && len(b.rows) == 0) {
		return err
	}
	return errors.Join(err, report.Print(o.Format, out, b.document(sync), printTable))
}
