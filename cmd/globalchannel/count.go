package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

func newCount() *cobra.Command {
	var q question
	var sid string
	cmd := &cobra.Command{
		Use:   "count NAME",
		Short: "Count who is in a channel",
		Long: `Count the members (uid, sid) of a channel, or those on one server. Prints the number,
with -o json as {"count": n}.`,
		Args: positional("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return q.ask(cmd, func(ctx context.Context, client pb.GlobalChannelClient) error {
				r, err := client.Count(ctx, &pb.CountRequest{Name: args[0], Sid: sid, Read: q.read()}, bounded()...)
				if err != nil {
					return err
				}
				if q.format == formatJSON {
					return printJSON(cmd.OutOrStdout(), map[string]int64{"count": r.GetCount()})
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), r.GetCount())
				return err
			})
		},
	}
	q.register(cmd)
	cmd.Flags().StringVar(&sid, "sid", "", "only members on this server")
	return cmd
}
