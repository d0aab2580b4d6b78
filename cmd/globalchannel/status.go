package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// statusJSON is the shape of status -o json.
type statusJSON struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	NodeID    string `json:"node_id"`
	ClusterID string `json:"cluster_id"`
	Role      string `json:"role"`
	Voters    uint32 `json:"voters"`
	Leader    string `json:"leader"`
	Term      uint64 `json:"term"`
	Applied   uint64 `json:"applied"`
	AgeMS     *int64 `json:"age_ms"`
	Level     uint32 `json:"level"`
	Ready     bool   `json:"ready"`
	Problem   string `json:"problem"`
	StateHash string `json:"state_hash,omitempty"`
}

func newStatus() *cobra.Command {
	var (
		c    connection
		f    format
		hash bool
	)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Tell how the server that answers is",
		Long: `Tell how the server that answers is. Its age is how long ago it had everything that was
acknowledged anywhere; it is measured for the question if the last time was over a
second ago, unless --hash compares servers. It grows while no leader answers. Its level is
that of the features in use, which rises once every server of the cluster runs a version that knows them.
Voters are those that have a vote, up or not: writes go on while more than half of them are up.`,
		Args: positional(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.do(cmd, 0, func(ctx context.Context, client pb.GlobalChannelClient) error {
				r, err := client.Status(ctx, &pb.StatusRequest{Hash: hash}, bounded()...)
				if err != nil {
					return err
				}
				s := statusJSON{
					ID: r.Sid, Type: r.Stype, NodeID: r.NodeId, ClusterID: r.ClusterId, Role: r.Role, Voters: r.Voters, Leader: r.Leader, Term: r.Term,
					Applied: r.Applied, AgeMS: r.AgeMs, Level: r.Level, Ready: r.Ready, Problem: r.Problem, StateHash: r.StateHash,
				}
				if f == formatJSON {
					return printJSON(cmd.OutOrStdout(), s)
				}
				return printTable(cmd.OutOrStdout(), "FIELD VALUE", s.rows())
			})
		},
	}
	c.register(cmd)
	f.register(cmd.Flags())
	cmd.Flags().BoolVar(&hash, "hash", false, "also hash the whole state (state_hash): equal on all servers that applied the same index")
	return cmd
}

func (s statusJSON) rows() [][]string {
	age := ""
	if s.AgeMS != nil {
		age = fmt.Sprintf("%d ms", *s.AgeMS)
	}
	rows := [][]string{
		{"id", s.ID}, {"type", s.Type}, {"node id", s.NodeID}, {"cluster id", s.ClusterID}, {"role", s.Role},
		{"voters", strconv.FormatUint(uint64(s.Voters), 10)}, {"leader", s.Leader},
		{"term", strconv.FormatUint(s.Term, 10)}, {"applied", strconv.FormatUint(s.Applied, 10)}, {"age", age},
		{"level", strconv.FormatUint(uint64(s.Level), 10)}, {"ready", yesNo(s.Ready)}, {"problem", s.Problem},
	}
	if s.StateHash != "" {
		rows = append(rows, []string{"state hash", s.StateHash})
	}
	return rows
}
