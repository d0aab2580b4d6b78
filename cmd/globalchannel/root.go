package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/pofresh/globalchannel/cmd/globalchannel/demo"
	"github.com/pofresh/globalchannel/node"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// run is the whole program without the process: tests call it. ctx ends when the
// process is asked to stop.
func run(ctx context.Context, args []string, env lookup, stdout, stderr io.Writer) int {
	inv := &invocation{env: env}
	root := inv.newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	return inv.report(cmd, err, stderr)
}

// invocation is one run of the program.
type invocation struct {
	env     lookup
	started bool // a command's own code was reached: what fails now is no longer the parsing
}

func (inv *invocation) newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "globalchannel",
		Short: "Global channels: sets of players spread over many game servers",
		Long: `globalchannel keeps named channels of players who are connected to many game servers,
and pushes messages to a whole channel. See it work: globalchannel demo

Every flag can also be given as an environment variable: --secret-file is
GLOBALCHANNEL_SECRET_FILE. A flag goes before the environment, and an empty
variable counts as unset. Exit codes: 0 success, 1 failure, 2 wrong usage.`,
		SilenceErrors: true, // report prints them, once
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := applyEnvironment(cmd.Flags(), inv.env); err != nil {
				return err
			}
			if f := cmd.Flags().Lookup(configFlag); f != nil && f.Value.String() != "" {
				return applyConfigFile(cmd.Flags(), f.Value.String(), inv.env)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(cmd.ErrOrStderr()) // nothing was asked for, so help is no data here
			if err := cmd.Help(); err != nil {
				return err
			}
			return reported(exitUsage)
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		demo.NewCommand(), demo.NewChildCommand(),
		newAgent(), newAdd(), newLeave(), newMembers(), newCount(), newWhere(), newChannels(), newExplain(), newPush(), newDestroy(), newServers(), newStatus(), newListen(),
		newTransferLeader(), newRemoveServer(), newRecover(), newSettings(), newDecommission(),
	)
	inv.watch(root)
	return root
}

// watch notes when a command's own code begins. cobra has no type for its usage
// errors (unknown command, flag or argument count); but all of them come before
// that, and telling them apart by time needs no parsing of texts.
func (inv *invocation) watch(cmd *cobra.Command) {
	if body := cmd.RunE; body != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			inv.started = true
			return body(cmd, args)
		}
	}
	for _, c := range cmd.Commands() {
		inv.watch(c)
	}
}

// report prints err unless that was done, and gives the exit code.
func (inv *invocation) report(cmd *cobra.Command, err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	var code reported
	if errors.As(err, &code) {
		return int(code)
	}
	fmt.Fprintf(stderr, "globalchannel: %v\n", err)
	var usage *usageError
	if !inv.started || errors.As(err, &usage) {
		fmt.Fprintf(stderr, "usage: %s (more: %s --help)\n", cmd.UseLine(), cmd.CommandPath())
		return exitUsage
	}
	// A name that is too long is the caller's mistake too, only found later.
	if errors.Is(err, node.ErrInvalidArgument) {
		return exitUsage
	}
	return exitFailure
}

// reported is an exit code whose reason was already printed.
type reported int

func (r reported) Error() string { return fmt.Sprintf("exit code %d", int(r)) }

// usageError is wrong usage that only a command's own code can see.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func wrongUsage(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// positional demands exactly the named arguments.
func positional(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return wrongUsage("missing %s", names[len(args)])
		case len(args) > len(names):
			return wrongUsage("unexpected argument %q", args[len(names)])
		}
		return nil
	}
}
