package main

import (
	"cmp"
	"context"
	"slices"

	"github.com/spf13/cobra"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// serversJSON is the shape of servers -o json.
type serversJSON struct {
	Servers []serverJSON `json:"servers"`
}

type serverJSON struct {
	ID     string `json:"id"`
	Type   string `json:"type"`
	NodeID string `json:"node_id"`
	Leader bool   `json:"leader"`
	Role   string `json:"role"`
	Addr   string `json:"addr"`
	Via    string `json:"via"`
	Zone   string `json:"zone"`
	Epoch  uint64 `json:"epoch"`
}

func newServers() *cobra.Command {
	var (
		c        connection
		f        format
		minIndex uint64
	)
	cmd := &cobra.Command{
		Use:   "servers",
		Short: "List every registered server, attached frontends included",
		Args:  positional(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.do(cmd, 0, func(ctx context.Context, client pb.GlobalChannelClient) error {
				r, err := client.Servers(ctx, &pb.ServersRequest{MinIndex: minIndex}, bounded()...)
				if err != nil {
					return err
				}
				slices.SortFunc(r.Servers, func(a, b *pb.Server) int { return cmp.Compare(a.Sid, b.Sid) })
				if f == formatJSON {
					return printJSON(cmd.OutOrStdout(), newServersJSON(r.Servers))
				}
				return printTable(cmd.OutOrStdout(), "ID TYPE ROLE LEADER ADDR VIA ZONE NODE_ID", serverRows(r.Servers))
			})
		},
	}
	c.register(cmd)
	f.register(cmd.Flags())
	cmd.Flags().Uint64Var(&minIndex, "min-index", 0, "wait until the answering server has applied this index of an earlier write")
	return cmd
}

func newServersJSON(servers []*pb.Server) serversJSON {
	out := serversJSON{Servers: make([]serverJSON, 0, len(servers))}
	for _, s := range servers {
		out.Servers = append(out.Servers, serverJSON{
			ID: s.Sid, Type: s.Stype, NodeID: s.NodeId, Leader: s.Leader, Role: s.Role, Addr: s.Addr, Via: s.Via, Zone: s.Zone, Epoch: s.Epoch,
		})
	}
	return out
}

func serverRows(servers []*pb.Server) [][]string {
	rows := make([][]string, 0, len(servers))
	for _, s := range servers {
		rows = append(rows, []string{s.Sid, s.Stype, s.Role, yesNo(s.Leader), s.Addr, s.Via, s.Zone, s.NodeId})
	}
	return rows
}
