// Command jepsen runs the proof by hand: one run, many of them, or one again.
//
//	go run ./jepsen_like_test/cmd/jepsen run -sim -workload set -nemesis network -time 10m
//	go run ./jepsen_like_test/cmd/jepsen campaign -sim -time 1h
//	go run ./jepsen_like_test/cmd/jepsen repeat FOLDER
//
// It is started in the module's directory: it builds what it runs. With -sim that is
// clusters in simulated time, without it real processes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// command is one word of the command line.
type command struct {
	name, about string
	run         func(ctx context.Context, args []string) error
}

var commands = []command{
	{"run", "one run", runOne},
	{"campaign", "random runs until the time is up, and a table", campaign},
	{"repeat", "the run that left this folder, again and again until it fails", repeat},
	{"list", "workloads and nemeses", list},
}

// errFound ends the command with exit code 1: a promise is broken.
var errFound = errors.New("a promise is broken")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process
	err := start(ctx, os.Args[1:])
	stop()
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "jepsen:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, args []string) error {
	for _, c := range commands {
		if len(args) > 0 && args[0] == c.name {
			return c.run(ctx, args[1:])
		}
	}
	fmt.Fprintln(os.Stderr, "usage: jepsen COMMAND [FLAGS]; each has -help")
	for _, c := range commands {
		fmt.Fprintf(os.Stderr, "  %-10s %s\n", c.name, c.about)
	}
	return flag.ErrHelp
}
