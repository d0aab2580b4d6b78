package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/pofresh/globalchannel/node"
)

// recoveryJSON is the shape of recover -o json.
type recoveryJSON struct {
	ID          string          `json:"id"`
	ClusterID   string          `json:"cluster_id"`
	OldNodeID   string          `json:"old_node_id"`
	NodeID      string          `json:"node_id"` // empty with --dry-run
	Generation  uint32          `json:"generation"`
	Role        string          `json:"role"`
	LastTerm    uint64          `json:"last_term"`
	LastIndex   uint64          `json:"last_index"`
	Channels    int             `json:"channels"`
	Memberships int             `json:"memberships"`
	Lives       int             `json:"lives"`
	Others      []oldServerJSON `json:"others"`
}

type oldServerJSON struct {
	NodeID  string `json:"node_id"`
	Addr    string `json:"addr"`
	Voter   bool   `json:"voter"`
	Listens bool   `json:"listens"`
}

func newRecover() *cobra.Command {
	var r node.Recovery
	var f format
	cmd := &cobra.Command{
		Use:   "recover --data DIR",
		Short: "Begin a cluster anew from one server's data, when a majority of voters is lost for good",
		Long: `Begin a cluster anew from the data directory of one server, when a majority of the voters
is lost for good. The server must not run. It becomes the only voter of a new generation
of the cluster: the channels, the settings and the cluster's id stay, all lives are over,
so that players have to join their channels again.

What was acknowledged and is not in this directory is lost, and what is in its log
without ever having been acknowledged takes effect. Of several directories take the one
with the greatest last term, and among those the greatest last index: --dry-run tells
them, and changes nothing. Make a copy of the directory first.

It is refused while a majority of the voters may still be there (something listens at
their addresses, this server counted in), and for a directory that is not a voter's. The
refusal says which sentence --force must have for it to be done all the same.

Stop what is left of the old servers before. Afterwards start this one as ever, then
delete the data directories of all others and start those: they join as new servers, and
become voters by themselves. With their old data they are refused.`,
		Args: positional(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := need(cmd, "data"); err != nil {
				return err
			}
			result, err := r.Run(cmd.Context())
			if result.SID != "" && (err == nil || r.DryRun) {
				perr := printRecovered(cmd, f, result)
				if err == nil {
					err = perr
				}
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&r.DataDir, "data", "", "data directory of a server that does not run")
	flags.BoolVar(&r.DryRun, "dry-run", false, "tell what is in it, and what would be refused; change nothing")
	flags.StringArrayVar(&r.Force, "force", nil, forceUsage)
	f.register(flags)
	return cmd
}

func printRecovered(cmd *cobra.Command, f format, r node.Recovered) error {
	if f == formatJSON {
		out := recoveryJSON{
			ID: r.SID, ClusterID: r.ClusterID, OldNodeID: r.OldNodeID, NodeID: r.NodeID, Generation: r.Generation, Role: r.Role,
			LastTerm: r.LastTerm, LastIndex: r.LastIndex, Channels: r.Stats.Channels, Memberships: r.Stats.Memberships, Lives: r.Stats.Servers,
			Others: []oldServerJSON{},
		}
		for _, o := range r.Others {
			out.Others = append(out.Others, oldServerJSON{o.NodeID, o.Addr, o.Voter, o.Listens})
		}
		return printJSON(cmd.OutOrStdout(), out)
	}
	w := cmd.OutOrStdout()
	role := r.Role
	if role == "" {
		role = "no part of the configuration"
	}
	fmt.Fprintf(w, "%s of cluster %s: %s, last term %d, last index %d; %s, %s, %s\n", cell(r.SID), r.ClusterID, role, r.LastTerm, r.LastIndex,
		plural(int64(r.Stats.Channels), "channel"), plural(int64(r.Stats.Memberships), "membership"), plural(int64(r.Stats.Servers), "server")+" up")
	printOld(w, r.Others)
	if r.NodeID == "" {
		_, err := fmt.Fprintf(w, "a recovery would begin generation %d of the cluster; nothing was changed\n", r.Generation)
		return err
	}
	_, err := fmt.Fprintf(w, `recovered: generation %d of the cluster, with %s (node %s) as its only voter
All lives are over: players join their channels again as their servers come back.
What only the lost servers had is lost; what this log had without an acknowledgement took effect.
next: start %s as ever; delete the data directories of all other old servers, and start them: they join as new ones
`, r.Generation, cell(r.SID), r.NodeID, cell(r.SID))
	return err
}

func printOld(w io.Writer, others []node.OldServer) {
	for _, o := range others {
		role, there := "replica", "nothing listens there"
		if o.Voter {
			role = "voter"
		}
		if o.Listens {
			there = "something listens there"
		}
		fmt.Fprintf(w, "  with %s %s at %s: %s\n", role, o.NodeID, o.Addr, there)
	}
}
