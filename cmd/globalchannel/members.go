package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// members is one question for who is in a channel.
type members struct {
	connection
	format format
	sid    string
	stype  string
	freshness
}

// freshness is how fresh the answer must be: at most one of its flags.
type freshness struct {
	minIndex     uint64
	stale        bool
	linearizable bool
	maxStaleness time.Duration
}

func (f *freshness) register(flags *pflag.FlagSet) {
	flags.Uint64Var(&f.minIndex, "min-index", 0, "wait until the answering server has applied this index of an earlier write")
	flags.BoolVar(&f.stale, "stale", false, "what the answering server has, without any wait")
	flags.BoolVar(&f.linearizable, "linearizable", false, "everything that was acknowledged anywhere before; needs a majority of voters")
	flags.DurationVar(&f.maxStaleness, "max-staleness", 0, "what the answering server has if it is no older than this, for example 2s (default any age)")
}

// resolve lets a flag go before what the environment says, and checks that no two are left.
func (f *freshness) resolve(flags *pflag.FlagSet) error {
	if flags.Changed("max-staleness") && f.maxStaleness < time.Millisecond || f.maxStaleness < 0 {
		return wrongUsage("--max-staleness is %v; give 1ms or more", f.maxStaleness)
	}
	all := []struct {
		name string
		set  bool
		drop func()
	}{
		{"min-index", f.minIndex > 0, func() { f.minIndex = 0 }},
		{"stale", f.stale, func() { f.stale = false }},
		{"linearizable", f.linearizable, func() { f.linearizable = false }},
		{"max-staleness", f.maxStaleness > 0, func() { f.maxStaleness = 0 }},
	}
	var meant, set []string
	for _, o := range all {
		if o.set {
			set = append(set, "--"+o.name)
		}
		if o.set && flags.Changed(o.name) {
			meant = append(meant, "--"+o.name)
		}
	}
	if len(meant) > 1 || len(meant) == 0 && len(set) > 1 {
		return wrongUsage("%s exclude each other", strings.Join(set, " and "))
	}
	for _, o := range all {
		if len(meant) == 1 && !flags.Changed(o.name) {
			o.drop()
		}
	}
	return nil
}

func newMembers() *cobra.Command {
	m := &members{}
	cmd := &cobra.Command{
		Use:   "members NAME",
		Short: "List who is in a channel",
		Long: `List who is in a channel: every member (uid, sid), or those on one server, or those on
servers of one type, each uid once. -o json is a sorted array of uids, each once.

The answering server shows every write that it has acknowledged itself. Of --stale,
--min-index, --linearizable and --max-staleness one may say otherwise.`,
		Args: positional("NAME"),
		RunE: m.run,
	}
	m.connection.register(cmd)
	m.format.register(cmd.Flags())
	flags := cmd.Flags()
	flags.StringVar(&m.sid, "sid", "", "only members on this server")
	flags.StringVar(&m.stype, "type", "", "only members on servers of this type, each uid once")
	m.freshness.register(flags)
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
	if err := m.resolve(cmd.Flags()); err != nil {
		return err
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
	req := &pb.MembersRequest{
		Name: name, Sid: m.sid, Stype: m.stype,
		MinIndex: m.minIndex, Stale: m.stale, Linearizable: m.linearizable, MaxStalenessMs: m.maxStaleness.Milliseconds(),
	}
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
