package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pofresh/globalchannel/cmd/bench/internal/meter"
	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
)

// NewCommand is "state".
func NewCommand() *cobra.Command {
	o := defaults()
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Measure the state machine: memory, operations, questions, snapshots",
		Long: `state builds states of up to ten million memberships in this process, by applying the log of a busy leader, and
measures what they take of memory and time: operations, questions, snapshots under writes, restoring, destroying a
huge channel, the garbage collector. With --redis the same sets are made in that Redis, in the same run. Nothing
else should run on the machine; it takes about 3 GB of memory.`,
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return o.validate() },
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Redis, "redis", "", "measure the Redis at this host:port too")
	f.IntVar(&o.RedisDB, "redis-db", o.RedisDB, "its database that is used and emptied; it must be empty")
	f.BoolVar(&o.RedisFlush, "redis-flush", false, "empty that database first, whatever is in it")
	f.StringVar(&o.Dir, "dir", "", "where snapshots are written and removed (default: the system's directory for temporary files)")
	f.VarP(&o.Format, "output", "o", "table or json")
	f.StringSliceVar(&o.Only, "only", nil, "parts to measure (default: all of "+strings.Join(partNames(), ",")+")")
	f.IntVar(&o.Runs, "runs", o.Runs, "how often each figure is measured")
	f.Float64Var(&o.Scale, "scale", o.Scale, "multiply all sizes by this; below 1 a figure is not that of its name")
	f.DurationVar(&o.Duration, "duration", o.Duration, "how long to measure what is measured for a time")
	f.IntVar(&o.Rate, "rate", o.Rate, "writes a second while snapshots are taken and collections watched")
	return cmd
}

// run prints what it could measure, also if it could not measure all.
func run(ctx context.Context, o Options, out, log io.Writer) (err error) {
	dir, err := os.MkdirTemp(o.Dir, "globalchannel-bench-")
	if err != nil {
		return fmt.Errorf("make workspace: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	sync, err := meter.SyncTime(dir)
	if err != nil {
		return err
	}
	b := &bench{options: o, dir: dir, log: log, samples: make(map[string][]float64)}
	if o.Redis != "" {
		if b.sets, err = openSets(ctx, o); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.sets.close()) }()
	}
	err = b.run(ctx)
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return errors.Join(err, report.Print(o.Format, out, b.document(sync), printTable))
}
