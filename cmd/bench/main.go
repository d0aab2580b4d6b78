package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/pofresh/globalchannel/cmd/bench/internal/fleetsize"
	"github.com/pofresh/globalchannel/cmd/bench/internal/proc"
	"github.com/pofresh/globalchannel/cmd/bench/internal/push"
	"github.com/pofresh/globalchannel/cmd/bench/internal/server"
	"github.com/pofresh/globalchannel/cmd/bench/internal/state"
	"github.com/pofresh/globalchannel/cmd/bench/internal/writes"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "bench",
		Short:         "Measure globalchannel on this machine",
		SilenceErrors: true, // main prints them
		SilenceUsage:  true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(writes.NewCommand(), fleetsize.NewCommand(), state.NewCommand(), push.NewCommand(), newServerCommand())
	return root
}

// newServerCommand is what the bench starts this executable as.
func newServerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    proc.Command,
		Short:  "One process of a measurement; started by it",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Ctrl-C reaches every process of the terminal. When a child ends is for
			// its parent to say, by closing its stdin.
			signal.Ignore(os.Interrupt, syscall.SIGHUP)
			return server.Run(context.Background(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}
