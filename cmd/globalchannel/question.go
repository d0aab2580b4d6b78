package main

import (
	"context"

	"github.com/spf13/cobra"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// question is what the commands have in common that ask the replica of one server.
type question struct {
	connection
	format format
	freshness
}

func (q *question) register(cmd *cobra.Command) {
	q.connection.register(cmd)
	q.format.register(cmd.Flags())
	q.freshness.register(cmd.Flags())
}

func (q *question) read() *pb.Freshness {
	return &pb.Freshness{
		MinIndex: q.minIndex, Stale: q.stale, Linearizable: q.linearizable, MaxStalenessMs: q.maxStaleness.Milliseconds(),
	}
}

// ask resolves the flags and calls f.
func (q *question) ask(cmd *cobra.Command, f func(context.Context, pb.GlobalChannelClient) error) error {
	if err := q.resolve(cmd.Flags()); err != nil {
		return err
	}
	return q.do(cmd, 0, f)
}
