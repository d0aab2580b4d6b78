package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pofresh/globalchannel/node"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// decommissionTime is what a successor of its vote needs to show that it is stable, and more.
const decommissionTime = 30 * time.Second

func newDecommission() *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use:   "decommission SID",
		Short: "Take a running server out of service for good",
		Long: `Take the running server SID out of service for good. It gives up its vote, ends its life
(its players are gone everywhere), leaves the cluster and retires its data directory; its
agent ends with exit code 0. The command returns once the server does not answer any more.

It is refused, and the server goes on, if no other server can take its vote and too few
voters would be left. One that is stopped for a restart needs none of this: SIGTERM.`,
		Args: positional("SID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			addr := ""
			err := c.do(cmd, 0, func(ctx context.Context, client pb.GlobalChannelClient) (err error) {
				addr, err = addrOf(ctx, client, args[0])
				return err
			})
			if err != nil {
				return err
			}
			c.addr = addr // of the very server: nobody else can do it
			if err := c.do(cmd, decommissionTime, func(ctx context.Context, client pb.GlobalChannelClient) error {
				_, err := client.Decommission(ctx, &pb.DecommissionRequest{Sid: args[0]}, bounded()...)
				return err
			}); err != nil {
				return err
			}
			if err := c.awaitEnd(cmd, args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is out of service\n", cell(args[0]))
			return err
		},
	}
	c.register(cmd)
	c.writes, c.tells = true, true
	return cmd
}

// addrOf is where a server of the cluster is reached.
func addrOf(ctx context.Context, client pb.GlobalChannelClient, sid string) (string, error) {
	r, err := client.Servers(ctx, &pb.ServersRequest{}, bounded()...)
	if err != nil {
		return "", err
	}
	for _, s := range r.Servers {
		switch {
		case s.Sid != sid:
		case s.Via != "":
			return "", fmt.Errorf("%w: %s is attached to %s: it goes when its own process ends", node.ErrRefused, sid, s.Via)
		default:
			return s.Addr, nil
		}
	}
	return "", fmt.Errorf("%w: no server %q is up; one that is dead is taken out with remove-server", node.ErrUnknownServer, sid)
}

// awaitEnd waits until the server has closed its port, which is the last thing it does.
func (c *connection) awaitEnd(cmd *cobra.Command, sid string) error {
	secret, err := readSecret(c.secretFile, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), decommissionTime)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		there := errors.New("it answers")
		err := c.withClient(ctx, secret, func(client pb.GlobalChannelClient) error {
			if s, err := client.Status(ctx, &pb.StatusRequest{}, bounded()...); err != nil || s.Sid != sid {
				return nil
			}
			return there
		})
		if !errors.Is(err, there) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s has given up its vote and should end by itself, but still answers: %w", sid, ctx.Err())
		}
	}
}
