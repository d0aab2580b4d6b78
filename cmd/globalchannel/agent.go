package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/pofresh/globalchannel/node"
)

// agent is a server for processes that do not embed one.
type agent struct {
	cfg        node.Config
	secretFile string
	level      slog.Level
	levelName  string
	http       string // host:port
}

func newAgent() *cobra.Command {
	a := &agent{}
	cmd := &cobra.Command{
		Use:   "agent --id SID --type STYPE --data DIR",
		Short: "Run a server for processes that do not embed one",
		Long: `Run a server for processes that do not embed one. It prints a line when its port is bound
and one when it is ready, and runs until SIGTERM or SIGINT: then its players are gone
everywhere at once, its data and its vote are kept (10 s at most; a second signal ends it
on the spot). Three of them by hand, each with its own --id, --data and --listen and all
with the same --expect 3 and --join list, make a cluster that survives the loss of one.

--config names a YAML file with the names of flags as keys, as in

    id: agent-1
    type: agent
    data: /var/lib/globalchannel
    join: [10.0.0.1:7400, "srv:_raft._tcp.servers.example", "file:/etc/servers"]
    reap-after: 10s

A flag or an environment variable goes before the file. Unknown keys are errors. Paths in
it are relative to where the agent is started, as those of flags are.`,
		Args: positional(),
		RunE: a.run,
	}
	flags := cmd.Flags()
	flags.String(configFlag, "", "YAML file with the names of these flags as keys")
	flags.StringVar(&a.cfg.SID, "id", "", "this server's id: unique in the cluster, the same after a restart")
	flags.StringVar(&a.cfg.SType, "type", "", "this server's type: connector, chat...")
	flags.StringVar(&a.cfg.Zone, "zone", "", "where it runs, for people")
	flags.StringVar(&a.cfg.DataDir, "data", "", "directory that keeps its log and its node id")
	flags.TextVar(&a.cfg.LogStore, "log-store", node.BoltDB, "how --data keeps the log: boltdb, or wal, about twice as fast; a directory keeps the one it was made with")
	flags.StringVar(&a.cfg.Listen, "listen", defaultAddr, "host:port for everything, TCP and UDP; port 0 is any free one")
	flags.StringVar(&a.cfg.Advertise, "advertise", "", "host:port that others dial; default: where --listen was bound")
	flags.IntVar(&a.cfg.Expect, "expect", 0, "found a cluster of N servers that all say the same N; 0: only join, or found alone without --join")
	flags.StringSliceVar(&a.cfg.Join, "join", nil, "where other servers are, separated by commas: host:port, srv:NAME (SRV records) or file:PATH (host:ports in lines); looked up anew on each try, the own address is allowed")
	flags.BoolVar(&a.cfg.NonVoter, "non-voter", false, "never vote: for servers that come and go")
	flags.StringVar(&a.secretFile, "secret-file", "", secretUsage)
	flags.BoolVar(&a.cfg.Insecure, "insecure", false, "allow a --listen off loopback without a secret")
	settings := &a.cfg.Cluster
	flags.DurationVar(&settings.ReapAfter, "reap-after", 0, "how long a server may be silent until its players are removed; like the following settings it counts at the founding, and then for all; 0: 10s")
	flags.DurationVar(&settings.ForgetAfter, "forget-after", 0, "how long they can still be resumed after that; 0: 10m")
	flags.DurationVar(&settings.RemoveAfter, "remove-after", 0, "how long a dead server stays in the configuration; 0: 1h")
	flags.IntVar(&settings.MaxVoters, "max-voters", 0, "servers that vote, at most; 0: 5")
	flags.IntVar(&settings.Limits.MessageBytes, "max-message-bytes", 0, "of a push; 0: 1 MiB")
	flags.IntVar(&settings.Limits.Members, "max-members", 0, "memberships in all channels, one for each channel, player and server; 0: no limit")
	flags.IntVar(&settings.Limits.Channels, "max-channels", 0, "channels; 0: no limit")
	flags.IntVar(&settings.Limits.Servers, "max-servers", 0, "servers that are up, attached frontends included; 0: no limit")
	flags.BoolVar(&settings.ExternalSIDs, "external-sids", false, "accept members of servers that never registered")
	flags.BoolVar(&a.cfg.CleanOnStartUp, "clean-on-start-up", false, "destroy all channels once ready, but only if no other server is up")
	flags.StringVar(&a.http, "http", "", "host:port of /healthz, /readyz and /metrics; plain HTTP, which only reads and tells no names of players or channels")
	flags.StringVar(&a.levelName, "log-level", "info", "what to log to stderr: debug, info, warn or error")
	return cmd
}

func (a *agent) run(cmd *cobra.Command, _ []string) error {
	if err := need(cmd, "id", "type", "data"); err != nil {
		return err
	}
	if err := a.level.UnmarshalText([]byte(a.levelName)); err != nil {
		return wrongUsage("--log-level %q: debug, info, warn or error is allowed", a.levelName)
	}
	secret, err := readSecret(a.secretFile, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	a.cfg.Secret = secret
	a.cfg.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: a.level}))

	ctx := cmd.Context()
	n, err := node.Start(ctx, a.cfg)
	if ctx.Err() != nil {
		if err == nil {
			err = n.Close()
		}
		return err // asked to stop before it ran
	}
	if err != nil {
		return startError(err)
	}
	err = a.serveHTTP(ctx, n, cmd.OutOrStdout(), func() error { return serve(ctx, n, cmd.OutOrStdout(), cmd.ErrOrStderr()) })
	if cerr := n.Close(); cerr != nil {
		err = errors.Join(err, fmt.Errorf("close: %w", cerr))
	}
	return err
}

// serve runs until it is asked to stop (nil) or the node has ended by itself.
func serve(ctx context.Context, n *node.Node, stdout, stderr io.Writer) error {
	self := n.Self()
	fmt.Fprintf(stdout, "%s (%s) bound at %s, pid %d\n", cell(self.SID), cell(self.SType), self.Addr, os.Getpid())
	ctx, cancel := context.WithCancel(ctx)
	ready := make(chan error, 1)
	go func() { ready <- n.Ready(ctx) }()
	waiting := true
	defer func() {
		cancel()
		if waiting {
			<-ready
		}
	}()
	patience := time.NewTicker(3 * time.Second)
	defer patience.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			fmt.Fprintln(stderr, "globalchannel: stopping; a second signal ends it on the spot")
			return nil
		case <-n.Done():
			if err := n.Err(); err != nil {
				return err
			}
			// Nobody here has closed it: it was decommissioned, and tells how that ended.
			if err := n.Decommission(ctx); err != nil {
				return err
			}
			fmt.Fprintf(stdout, "%s is decommissioned: its data directory is retired\n", cell(self.SID))
			return nil
		case err := <-ready:
			waiting, ready = false, nil
			if err != nil {
				return unready(ctx, err)
			}
			patience.Stop()
			s := n.Status()
			fmt.Fprintf(stdout, "%s ready: cluster %s, %s, leader %s\n", cell(self.SID), s.ClusterID, cell(s.Role), cell(s.Leader))
		case <-patience.C:
			// Why it takes so long is text that may change any time; nothing to wait on.
			if p := n.Status().Problem; p != "" && p != said {
				fmt.Fprintf(stderr, "globalchannel: not ready yet: %s\n", p)
				said = p
			}
		}
	}
}

// unready is nil where the wait ended because we were asked to stop.
func unready(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
