package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"

	"github.com/spf13/cobra"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// members is one question for who is in a channel.
type members struct {
	connection
	format   format
	sid      string
	stype    string
	minIndex uint64
	stale    bool
}

func newMembers() *cobra.Command {
	m := &members{}
	cmd := &cobra.Command{
		Use:   "members NAME",
		Short: "List who is in a channel",
		Long: `List who is in a channel: every member (uid, sid), or those on one server, or those on
servers of one type, each uid once. -o json is a sorted array of uids, each once.`,
		Args: positional("NAME"),
		RunE: m.run,
	}
	m.connection.register(cmd)
	m.format.register(cmd.Flags())
	flags := cmd.Flags()
	flags.StringVar(&m.sid, "sid", "", "only members on this server")
	flags.StringVar(&m.stype, "type", "", "only members on servers of this type, each uid once")
	flags.Uint64Var(&m.minIndex, "min-index", 0, "wait until the answering server has applied this index of an earlier write")
	flags.BoolVar(&m.stale, "stale", false, "what the answering server has, without any wait")
	return cmd
}

func (m *members) run(cmd *cobra.Command, args []string) error {
	if m.sid != "" && m.stype != "" {
		switch sid, stype := cmd.Flags().Changed("sid"), cmd.Flags().Changed("type"); {
		case sid == stype:
			return wrongUsage("--sid and --type exclude each other")
		case sid:
			m.stype = ""
		default:
			m.sid = ""
		}
	}
	return m.do(cmd, 0, func(ctx context.Context, client pb.GlobalChannelClient) error {
		found, err := m.fetch(ctx, client, args[0])
		if err != nil {
			return err
		}
		if m.format == formatJSON {
			return printJSON(cmd.OutOrStdout(), uids(found))
		}
		return m.table(cmd.OutOrStdout(), found)
	})
}

// fetch reads the whole stream before anything is printed: a listing that broke
// off must not look like a short channel.
func (m *members) fetch(ctx context.Context, client pb.GlobalChannelClient, name string) ([]*pb.Member, error) {
	req := &pb.MembersRequest{Name: name, Sid: m.sid, Stype: m.stype, MinIndex: m.minIndex, Stale: m.stale}
	stream, err := client.Members(ctx, req, bounded()...)
	if err != nil {
		return nil, err
	}
	var found []*pb.Member
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		found = append(found, r.Members...)
	}
	slices.SortFunc(found, func(a, b *pb.Member) int {
		return cmp.Or(cmp.Compare(a.Uid, b.Uid), cmp.Compare(a.Sid, b.Sid))
	})
	return found, nil
}

// uids of sorted members, each once.
func uids(sorted []*pb.Member) []string {
	out := make([]string, 0, len(sorted))
	for _, m := range sorted {
		out = append(out, m.Uid)
	}
	return slices.Compact(out)
}

func (m *members) table(w io.Writer, found []*pb.Member) error {
	header, withSID := "UID SID", m.stype == ""
	if !withSID {
		header = "UID"
	}
	rows := make([][]string, 0, len(found))
	for _, f := range found {
		row := []string{f.Uid}
		if withSID {
			// The service may leave out the sid that was asked for.
			row = append(row, cmp.Or(f.Sid, m.sid))
		}
		rows = append(rows, row)
	}
	return printTable(w, header, rows)
}
