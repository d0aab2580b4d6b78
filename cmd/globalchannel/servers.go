package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// serversJSON is the shape of servers -o json.
type serversJSON struct {
	Servers     []serverJSON `json:"servers"`
	Lifeless    []serverJSON `json:"lifeless"` // of the Raft configuration, without a life
	LastIndex   uint64       `json:"last_index"`
	LastIndexOf string       `json:"last_index_of"`
}

type serverJSON struct {
	ID      string  `json:"id"`
	Type    string  `json:"type"`
	NodeID  string  `json:"node_id"`
	Leader  bool    `json:"leader"`
	Role    string  `json:"role"`
	Addr    string  `json:"addr"`
	Via     string  `json:"via"`
	Zone    string  `json:"zone"`
	Epoch   uint64  `json:"epoch"`
	Health  string  `json:"health"` // ok, or what is wrong; empty with --health=false
	Lag     *uint64 `json:"lag"`    // of last_index; null: not known
	Version string  `json:"version"`
}

func newServers() *cobra.Command {
	var (
		c        connection
		f        format
		minIndex uint64
		health   bool
	)
	cmd := &cobra.Command{
		Use:   "servers",
		Short: "List every server, attached frontends included, and how it is",
		Long: `List every registered server, attached frontends included, and those that are part of
the Raft configuration without being registered: dead ones, or not up yet. The server at
--addr asks all others how they are, at once and for 1 s each. LAG is how many entries of
the log a server lacks of what the leader has.`,
		Args: positional(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.do(cmd, 0, func(ctx context.Context, client pb.GlobalChannelClient) error {
				r, err := client.Servers(ctx, &pb.ServersRequest{MinIndex: minIndex, Health: health}, bounded()...)
				if err != nil {
					return err
				}
				slices.SortFunc(r.Servers, func(a, b *pb.Server) int { return cmp.Compare(a.Sid, b.Sid) })
				if f == formatJSON {
					return printJSON(cmd.OutOrStdout(), serversJSON{
						Servers: newServersJSON(r.Servers), Lifeless: newServersJSON(r.Lifeless), LastIndex: r.LastIndex, LastIndexOf: r.LastIndexOf,
					})
				}
				return printServers(cmd, r)
			})
		},
	}
	c.register(cmd)
	f.register(cmd.Flags())
	cmd.Flags().Uint64Var(&minIndex, "min-index", 0, "wait until the answering server has applied this index of an earlier write")
	cmd.Flags().BoolVar(&health, "health", true, "also ask every server how it is")
	return cmd
}

func newServersJSON(servers []*pb.Server) []serverJSON {
	out := make([]serverJSON, 0, len(servers))
	for _, s := range servers {
		out = append(out, serverJSON{
			ID: s.Sid, Type: s.Stype, NodeID: s.NodeId, Leader: s.Leader, Role: s.Role, Addr: s.Addr, Via: s.Via, Zone: s.Zone, Epoch: s.Epoch,
			Health: healthWord(s.Health), Lag: lagOf(s.Health), Version: s.GetHealth().GetVersion(),
		})
	}
	return out
}

// printServers shows the lifeless ones below the others: they have no more than a node
// id, and sometimes the sid that it had last.
func printServers(cmd *cobra.Command, r *pb.ServersResponse) error {
	rows := make([][]string, 0, len(r.Servers)+len(r.Lifeless))
	for _, s := range slices.Concat(r.Servers, r.Lifeless) {
		lag := ""
		if n := lagOf(s.Health); n != nil {
			lag = strconv.FormatUint(*n, 10)
		}
		epoch := "none"
		if s.Epoch != 0 {
			epoch = strconv.FormatUint(s.Epoch, 10)
		}
		rows = append(rows, []string{s.Sid, s.Stype, s.Role, yesNo(s.Leader), healthWord(s.Health), lag, epoch, s.Zone, s.GetHealth().GetVersion(), s.Addr, s.Via, s.NodeId})
	}
	if err := printTable(cmd.OutOrStdout(), "ID TYPE ROLE LEADER HEALTH LAG EPOCH ZONE VERSION ADDR VIA NODE_ID", rows); err != nil {
		return err
	}
	if len(r.Lifeless) > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "globalchannel: %s without a life (EPOCH none) in the Raft configuration: dead, or not up yet\n", plural(int64(len(r.Lifeless)), "server"))
	}
	return nil
}

// healthWord is ok, or what is wrong; empty where nobody asked.
func healthWord(h *pb.Health) string {
	switch {
	case h == nil:
		return ""
	case h.Problem == "":
		return "ok"
	}
	return h.Problem
}

func lagOf(h *pb.Health) *uint64 {
	if h == nil {
		return nil
	}
	return h.Lag
}
