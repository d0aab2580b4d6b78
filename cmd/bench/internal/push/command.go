package push

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pofresh/globalchannel/cmd/bench/internal/fleet"
	"github.com/pofresh/globalchannel/cmd/bench/internal/meter"
	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
)

// NewCommand is "push".
func NewCommand() *cobra.Command {
	o := defaults()
	cmd := &cobra.Command{
		Use:   "push",
		Short: "Measure pushes, side by side with the ancestor's way over Redis",
		Long: `push starts a pusher and ten frontends as processes of this machine, in memory, and pushes to channels of 100 and
of 10,000 members on each frontend: how long until all reports are in, how many a second, also while the channels
change, bytes on the wire, memory allocated, and what pushes to other frontends suffer while one is stalled. With
--redis the same processes do what the ancestor does (SMEMBERS for each frontend, then a gRPC call to each with all
uids), in turns with it. With the defaults and Redis it takes about ten minutes.`,
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return o.validate() },
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Redis, "redis", "", "measure the ancestor's way with the Redis at this host:port too; it writes sets named globalchannel-bench:* and removes them")
	f.IntVar(&o.Pool, "redis-pool", o.Pool, "connections to Redis, at most")
	f.VarP(&o.Format, "output", "o", "table or json")
	f.StringVar(&o.Dir, "dir", "", "where the processes' logs are written and removed (default: the system's directory for temporary files)")
	f.StringSliceVar(&o.Only, "only", nil, "parts to measure (default: all of "+strings.Join(partNames(), ",")+")")
	f.IntVar(&o.Runs, "runs", o.Runs, "how often each case is measured; both ways take turns")
	f.DurationVar(&o.Duration, "duration", o.Duration, "how long each case is measured")
	f.DurationVar(&o.WarmUp, "warm-up", o.WarmUp, "how long its load goes on before that")
	f.IntVar(&o.Frontends, "frontends", o.Frontends, "how many there are; other than 10, a figure is not that of its name")
	f.Float64Var(&o.Scale, "scale", o.Scale, "multiply all numbers of members by this; below 1 a figure is not that of its name")
	f.IntVar(&o.Churn, "churn", o.Churn, "changes a second of channels that change")
	f.IntVar(&o.Rate, "rate", o.Rate, "pushes a second to the other frontends while one is stalled, and as many to all")
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
