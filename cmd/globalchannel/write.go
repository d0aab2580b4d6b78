package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// write is a command that changes something and prints at which index.
type write struct {
	connection
	format format
}

func (w *write) register(cmd *cobra.Command) {
	w.connection.register(cmd)
	w.writes = true
	w.format.register(cmd.Flags())
}

// run prints done after call has returned. The index is what another server can
// be asked to have seen (members --min-index).
func (w *write) run(cmd *cobra.Command, done string, call func(context.Context, pb.GlobalChannelClient) (*pb.WriteResponse, error)) error {
	return w.do(cmd, 0, func(ctx context.Context, client pb.GlobalChannelClient) error {
		r, err := call(ctx, client)
		if err != nil {
			return err
		}
		if w.format == formatJSON {
			return printJSON(cmd.OutOrStdout(), struct {
				Index uint64 `json:"index"`
			}{r.Index})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s (index %d)\n", done, r.Index)
		return err
	})
}

func newAdd() *cobra.Command {
	w := &write{}
	cmd := &cobra.Command{
		Use:   "add NAME UID SID",
		Short: "Put a player who is connected to server SID into a channel",
		Args:  positional("NAME", "UID", "SID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			done := fmt.Sprintf("%s on %s is in %s", cell(args[1]), cell(args[2]), cell(args[0]))
			return w.run(cmd, done, func(ctx context.Context, client pb.GlobalChannelClient) (*pb.WriteResponse, error) {
				return client.Add(ctx, &pb.AddRequest{Name: args[0], Uid: args[1], Sid: args[2]}, bounded()...)
			})
		},
	}
	w.register(cmd)
	return cmd
}

func newLeave() *cobra.Command {
	w := &write{}
	all := false
	cmd := &cobra.Command{
		Use:   "leave NAME UID SID | --all UID SID",
		Short: "Take a player out of a channel, or of every channel",
		RunE: func(cmd *cobra.Command, args []string) error {
			if all {
				return w.leaveAll(cmd, args)
			}
			if err := positional("NAME", "UID", "SID")(cmd, args); err != nil {
				return err
			}
			done := fmt.Sprintf("%s on %s is not in %s", cell(args[1]), cell(args[2]), cell(args[0]))
			return w.run(cmd, done, func(ctx context.Context, client pb.GlobalChannelClient) (*pb.WriteResponse, error) {
				return client.Leave(ctx, &pb.LeaveRequest{Name: args[0], Uid: args[1], Sid: args[2]}, bounded()...)
			})
		},
	}
	w.register(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "every channel that the player, on server SID, is in")
	return cmd
}

func (w *write) leaveAll(cmd *cobra.Command, args []string) error {
	if len(args) == 3 {
		return wrongUsage("--all (or %s) and a NAME exclude each other", envName("all"))
	}
	if err := positional("UID", "SID")(cmd, args); err != nil {
		return err
	}
	done := fmt.Sprintf("%s on %s is in no channel", cell(args[0]), cell(args[1]))
	return w.run(cmd, done, func(ctx context.Context, client pb.GlobalChannelClient) (*pb.WriteResponse, error) {
		return client.LeaveAll(ctx, &pb.LeaveAllRequest{Uid: args[0], Sid: args[1]}, bounded()...)
	})
}

func newDestroy() *cobra.Command {
	w := &write{}
	all := false
	cmd := &cobra.Command{
		Use:   "destroy NAME | --all",
		Short: "Remove a channel, or every channel, on all servers",
		RunE: func(cmd *cobra.Command, args []string) error {
			if all {
				if len(args) > 0 {
					return wrongUsage("--all (or %s) and a NAME exclude each other", envName("all"))
				}
				return w.run(cmd, "every channel is gone", func(ctx context.Context, client pb.GlobalChannelClient) (*pb.WriteResponse, error) {
					return client.DestroyAll(ctx, &pb.DestroyAllRequest{}, bounded()...)
				})
			}
			if err := positional("NAME (or --all)")(cmd, args); err != nil {
				return err
			}
			return w.run(cmd, cell(args[0])+" is gone", func(ctx context.Context, client pb.GlobalChannelClient) (*pb.WriteResponse, error) {
				return client.Destroy(ctx, &pb.DestroyRequest{Name: args[0]}, bounded()...)
			})
		},
	}
	w.register(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "every channel of the whole cluster")
	return cmd
}
