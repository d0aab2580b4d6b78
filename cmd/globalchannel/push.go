package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// push is one message to a channel.
type push struct {
	connection
	format   format
	stype    string
	route    string
	msg      string
	minIndex uint64
}

// pushJSON is the shape of push -o json.
type pushJSON struct {
	Failed      []string     `json:"failed"`
	Undelivered []string     `json:"undelivered"`
	Servers     []reportJSON `json:"servers"`
}

type reportJSON struct {
	ID        string   `json:"id"`
	Outcome   string   `json:"outcome"`
	Reason    string   `json:"reason"`
	Members   int64    `json:"members"`
	Failed    []string `json:"failed"`
	LatencyMS float64  `json:"latency_ms"`
}

func newPush() *cobra.Command {
	p := &push{}
	cmd := &cobra.Command{
		Use:   "push NAME --type STYPE --route ROUTE --msg TEXT",
		Short: "Send a message to every member of a channel on servers of one type",
		Long: `Send a message to every member of a channel who is connected to a server of one type.
The report names who did not get it, or might not have. It is a failure (exit 1) only if
there were members and not one server delivered.`,
		Args: positional("NAME"),
		RunE: p.run,
	}
	p.connection.register(cmd)
	p.format.register(cmd.Flags())
	flags := cmd.Flags()
	flags.StringVar(&p.stype, "type", "", "type of the servers that the members are connected to")
	flags.StringVar(&p.route, "route", "", "what the message is, for the client: chat.onMessage...")
	flags.StringVar(&p.msg, "msg", "", "the message; may be empty")
	flags.Uint64Var(&p.minIndex, "min-index", 0, "first wait until the answering server has applied this index of an earlier write")
	return cmd
}

func (p *push) run(cmd *cobra.Command, args []string) error {
	if err := need(cmd, "type", "route", "msg"); err != nil {
		return err
	}
	req := &pb.PushRequest{
		Name: args[0], Stype: p.stype, Route: p.route, Msg: []byte(p.msg), MinIndex: p.minIndex,
		// Rounded up: 0 would mean no limit of its own.
		TimeoutMs: int64((p.timeout + time.Millisecond - 1) / time.Millisecond),
	}
	return p.do(cmd, grace, func(ctx context.Context, client pb.GlobalChannelClient) error {
		r, err := client.Push(ctx, req, bounded()...)
		if err != nil {
			return err
		}
		return p.print(cmd.Context(), cmd, client, r)
	})
}

// print gives the report. Its last line sums it up: on stdout as part of the
// table, or on stderr where nobody got the message.
func (p *push) print(ctx context.Context, cmd *cobra.Command, client pb.GlobalChannelClient, r *pb.PushResponse) error {
	out, failed := cmd.OutOrStdout(), r.Error != ""
	if p.format == formatJSON {
		if err := printJSON(out, newPushJSON(r)); err != nil {
			return err
		}
	} else if err := p.table(out, r); err != nil {
		return err
	}
	line := summary(r)
	if !failed {
		if p.format == formatTable {
			_, err := fmt.Fprintln(out, line)
			return err
		}
		return nil
	}
	// Best effort: the hint only proposes a free sid.
	taken, _ := knownSIDs(ctx, client)
	fmt.Fprintf(cmd.ErrOrStderr(), "%s (%s)\n", line, p.hint(r.Servers, taken))
	return reported(exitFailure)
}

func (p *push) table(w io.Writer, r *pb.PushResponse) error {
	if len(r.Servers) == 0 {
		return nil // the summary says it all
	}
	rows := make([][]string, 0, len(r.Servers))
	for _, s := range r.Servers {
		latency := time.Duration(s.LatencyUs) * time.Microsecond
		rows = append(rows, []string{
			s.Sid, outcomeWord(s.Outcome, " "), strconv.FormatInt(s.Members, 10), strconv.Itoa(len(s.Failed)), latency.String(), s.Reason,
		})
	}
	return printTable(w, "SERVER OUTCOME MEMBERS OFFLINE LATENCY REASON", rows)
}

func newPushJSON(r *pb.PushResponse) pushJSON {
	out := pushJSON{Failed: list(r.Failed), Undelivered: list(r.Undelivered), Servers: make([]reportJSON, 0, len(r.Servers))}
	for _, s := range r.Servers {
		out.Servers = append(out.Servers, reportJSON{
			ID: s.Sid, Outcome: outcomeWord(s.Outcome, "_"), Reason: s.Reason, Members: s.Members, Failed: list(s.Failed),
			LatencyMS: float64(s.LatencyUs) / 1000,
		})
	}
	return out
}

// outcomeWord is for people with a space, for programs with an underscore. What a
// newer server invents is not delivered for all we know.
func outcomeWord(o pb.Outcome, space string) string {
	switch o {
	case pb.Outcome_OUTCOME_DELIVERED:
		return "delivered"
	case pb.Outcome_OUTCOME_NOT_DELIVERED:
		return "not" + space + "delivered"
	}
	return "unknown"
}
