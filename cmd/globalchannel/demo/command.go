package demo

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

const (
	childCommand = "demo-child"
	stype        = "connector"

	maxServers  = 50 // each is a process
	maxPlayers  = 100_000
	minDuration = time.Second
)

// options are the flags of the demo.
type options struct {
	servers, players int
	duration         time.Duration
	keep             bool
}

func (o options) validate() error {
	switch {
	case o.servers < 1 || o.servers > maxServers:
		return fmt.Errorf("--servers is %d; 1 to %d are allowed, each is a process", o.servers, maxServers)
	case o.players < o.servers || o.players > maxPlayers:
		return fmt.Errorf("--players is %d; %d (one per server) to %d are allowed", o.players, o.servers, maxPlayers)
	case o.duration < minDuration:
		return fmt.Errorf("--duration is %v; at least %v is needed", o.duration, minDuration)
	}
	return nil
}

// NewCommand is "demo".
func NewCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch a cluster on this machine survive two kills, and check it",
		Long: `demo starts servers as processes of this machine (real gossip, fsync and TLS), lets players
log in, join, leave and chat, kills a server at a third of the time and the leader at two thirds
(SIGKILL), starts each again a second later, and then compares every acknowledged join and leave
with the state of every server, and every delivery that a push owed with what was handed over or
reported. Exit code 1 if anything is lost, should not be there, or was not delivered unnoticed.`,
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return o.validate() },
		RunE: func(cmd *cobra.Command, _ []string) error {
			// A closed terminal must not leave the folder behind; the other signals
			// end the command's context already.
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
			defer stop()
			return play(ctx, o, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.servers, "servers", 5, "how many servers, each a process")
	f.IntVar(&o.players, "players", 1000, "how many players, over all servers")
	f.DurationVar(&o.duration, "duration", 15*time.Second, "how long the load goes on")
	f.BoolVar(&o.keep, "keep", false, "go on until Ctrl-C and say how to try it from a second terminal")
	return cmd
}

// errInterrupted is the end by Ctrl-C before the check had a result.
var errInterrupted = errors.New("interrupted before the check was done")

// interrupted tells the end of the command's context from other failures.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	return err
}
