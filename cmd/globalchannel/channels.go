package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

func newChannels() *cobra.Command {
	var q question
	var prefix, after string
	var limit int
	cmd := &cobra.Command{
		Use:   "channels",
		Short: "List the channels",
		Long: `List the names of channels in the order of their bytes, one a line; with -o json as an
array. Without --limit all of them are fetched, in pages, each as fresh as it is asked for.`,
		Args: positional(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return wrongUsage("--limit is %d; give 1 or more, or leave it out for all", limit)
			}
			return q.ask(cmd, func(ctx context.Context, client pb.GlobalChannelClient) error {
				names, err := q.channels(ctx, client, prefix, after, limit)
				if err != nil {
					return err
				}
				if q.format == formatJSON {
					return printJSON(cmd.OutOrStdout(), list(names))
				}
				for _, name := range names {
					if _, err := fmt.Fprintln(cmd.OutOrStdout(), cell(name)); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	q.register(cmd)
	cmd.Flags().StringVar(&prefix, "prefix", "", "only names that begin with this")
	cmd.Flags().StringVar(&after, "after", "", "only names behind this one")
	cmd.Flags().IntVar(&limit, "limit", 0, "at most so many (default all)")
	return cmd
}

// channelPage is how many names are asked for at a time.
const channelPage = 10_000

func (q *question) channels(ctx context.Context, client pb.GlobalChannelClient, prefix, after string, limit int) (names []string, err error) {
	for {
		page := channelPage
		if limit > 0 {
			page = min(page, limit-len(names))
		}
		r, err := client.Channels(ctx, &pb.ChannelsRequest{Prefix: prefix, After: after, Limit: int32(page), Read: q.read()}, bounded()...)
		if err != nil {
			return nil, err
		}
		names = append(names, r.GetNames()...)
		if len(r.GetNames()) < page || len(names) == limit {
			return names, nil
		}
		after = names[len(names)-1]
	}
}
