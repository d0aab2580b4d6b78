package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// stay is what a player is in on one server, as JSON.
type stay struct {
	ID       string   `json:"id"`
	Channels []string `json:"channels"`
}

func newWhere() *cobra.Command {
	var q question
	cmd := &cobra.Command{
		Use:   "where UID",
		Short: "List the servers and channels that a player is in",
		Long: `List every channel that a player is in, server by server. Members of servers whose life
is over are not shown; explain tells about those.`,
		Args: positional("UID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return q.ask(cmd, func(ctx context.Context, client pb.GlobalChannelClient) error {
				stays, err := q.where(ctx, client, args[0])
				if err != nil {
					return err
				}
				if q.format == formatJSON {
					return printJSON(cmd.OutOrStdout(), stays)
				}
				var rows [][]string
				for _, s := range stays {
					for _, name := range s.Channels {
						rows = append(rows, []string{s.ID, name})
					}
				}
				return printTable(cmd.OutOrStdout(), "SERVER CHANNEL", rows)
			})
		},
	}
	q.register(cmd)
	return cmd
}

// where reads the whole stream before anything is printed.
func (q *question) where(ctx context.Context, client pb.GlobalChannelClient, uid string) ([]stay, error) {
	stream, err := client.Where(ctx, &pb.WhereRequest{Uid: uid, Read: q.read()}, bounded()...)
	if err != nil {
		return nil, err
	}
	stays := []stay{}
	for {
		r, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return stays, nil
		case err != nil:
			return nil, err
		case len(r.GetChannels()) == 0:
			continue
		}
		if n := len(stays); n == 0 || stays[n-1].ID != r.GetSid() {
			stays = append(stays, stay{ID: r.GetSid()})
		}
		last := &stays[len(stays)-1]
		last.Channels = append(last.Channels, r.GetChannels()...)
	}
}
