package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// forceUsage is of commands that refuse what is dangerous.
const forceUsage = "the sentence that a refusal asked for, word for word; may be given several times"

func newTransferLeader() *cobra.Command {
	var (
		c connection
		f format
	)
	cmd := &cobra.Command{
		Use:   "transfer-leader [SID]",
		Short: "Give leadership to another voter, and wait until it leads",
		Long: `Give leadership to the voter SID, or to any that can take it, and wait until that one
leads. It is refused if SID is not a voter, does not answer, is far behind or may not lead.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return wrongUsage("unexpected argument %q", args[1])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			r := &pb.TransferLeaderRequest{}
			if len(args) == 1 {
				r.Sid = args[0]
			}
			return c.do(cmd, 0, func(ctx context.Context, client pb.GlobalChannelClient) error {
				resp, err := client.TransferLeader(ctx, r, bounded()...)
				if err != nil {
					return err
				}
				return printTransfer(cmd, f, resp)
			})
		},
	}
	c.register(cmd)
	c.writes, c.tells = true, true
	f.register(cmd.Flags())
	return cmd
}

func printTransfer(cmd *cobra.Command, f format, r *pb.TransferLeaderResponse) error {
	took := time.Duration(r.TookUs) * time.Microsecond
	if f == formatJSON {
		return printJSON(cmd.OutOrStdout(), struct {
			Leader string  `json:"leader"`
			NodeID string  `json:"node_id"`
			TookMS float64 `json:"took_ms"`
		}{r.Sid, r.NodeId, float64(r.TookUs) / 1000})
	}
	how := "led already"
	if took > 0 {
		how = fmt.Sprintf("took over within %v", took.Round(time.Millisecond/10))
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s leads (%s)\n", cell(r.Sid), how)
	return err
}

func newRemoveServer() *cobra.Command {
	var (
		c     connection
		f     format
		force []string
	)
	cmd := &cobra.Command{
		Use:   "remove-server SID|NODE_ID",
		Short: "Take a dead server out of the Raft configuration, and end its life",
		Long: `Take a dead server out of the Raft configuration, and end its life: its players are gone
everywhere. A server that still runs is let go with decommission.

It is refused if the server answers, if too few voters would be left, or if those that
are left could write nothing. The refusal says which sentence --force must have for it
to be done all the same. The leader is never removed.`,
		Args: positional("SID or NODE_ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.do(cmd, 0, func(ctx context.Context, client pb.GlobalChannelClient) error {
				r, err := client.RemoveServer(ctx, &pb.RemoveServerRequest{Server: args[0], Force: force}, bounded()...)
				if err != nil {
					return err
				}
				return printRemoved(cmd, f, r)
			})
		},
	}
	c.register(cmd)
	c.writes, c.tells = true, true
	f.register(cmd.Flags())
	cmd.Flags().StringArrayVar(&force, "force", nil, forceUsage)
	return cmd
}

func printRemoved(cmd *cobra.Command, f format, r *pb.RemoveServerResponse) error {
	if f == formatJSON {
		return printJSON(cmd.OutOrStdout(), struct {
			ID        string `json:"id"`
			NodeID    string `json:"node_id"`
			Role      string `json:"role"`
			LifeEnded bool   `json:"life_ended"`
		}{r.Sid, r.NodeId, r.Role, r.LifeEnded})
	}
	was := "was not in the configuration"
	if r.Role != "" {
		was = "was a " + r.Role
	}
	life := "had no life"
	if r.LifeEnded {
		life = "its life is over"
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s (node %s) is removed: it %s, %s\n", cell(r.Sid), r.NodeId, was, life)
	return err
}
