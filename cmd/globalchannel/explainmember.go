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

// explained is an answer of explain, as JSON.
type explained struct {
	Verdict   string   `json:"verdict"`
	Exists    bool     `json:"exists"`
	Members   int64    `json:"members"`
	Parked    int64    `json:"parked"` // members whose servers' lives are over
	Changed   uint64   `json:"changed"`
	Index     uint64   `json:"index"`
	AgeMS     *int64   `json:"age_ms"` // null: not known
	Places    []place  `json:"places"`
	Elsewhere []string `json:"elsewhere"`

	ParkedElsewhere []string `json:"parked_elsewhere"`
}

type place struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Epoch   uint64 `json:"epoch"`
	State   string `json:"state"` // up, parked, unregistered
	Session uint64 `json:"session"`
	Added   uint64 `json:"added"`
	Via     string `json:"via"`
	Addr    string `json:"addr"`
	Answers bool   `json:"answers"`
	Problem string `json:"problem"`
}

func newExplain() *cobra.Command {
	var q question
	cmd := &cobra.Command{
		Use:   "explain NAME UID",
		Short: "Tell why a player is in a channel, or is not",
		Long: `Tell why a player is in a channel, or is not, as the answering server sees it: on which
servers, whether their lives go on or are over and the members parked, which session holds
each membership, and where a push would go and whether that server answers right now.`,
		Args: positional("NAME", "UID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return q.ask(cmd, func(ctx context.Context, client pb.GlobalChannelClient) error {
				r, err := client.Explain(ctx, &pb.ExplainRequest{Name: args[0], Uid: args[1], Read: q.read()}, bounded()...)
				if err != nil {
					return err
				}
				e := explainedOf(r)
				if q.format == formatJSON {
					return printJSON(cmd.OutOrStdout(), e)
				}
				return e.print(cmd.OutOrStdout())
			})
		},
	}
	q.register(cmd)
	return cmd
}

func explainedOf(r *pb.ExplainResponse) explained {
	e := explained{
		Verdict: r.GetVerdict(), Exists: r.GetExists(), Members: r.GetMembers(), Parked: r.GetParked(), Changed: r.GetChanged(), Index: r.GetIndex(),
		Places: []place{}, Elsewhere: list(r.GetElsewhere()), ParkedElsewhere: list(r.GetParkedElsewhere()),
	}
	if age := r.GetAgeMs(); age >= 0 {
		e.AgeMS = &age
	}
	for _, p := range r.GetPlaces() {
		state := "unregistered"
		switch {
		case p.GetParked():
			state = "parked"
		case p.GetUp():
			state = "up"
		}
		e.Places = append(e.Places, place{
			ID: p.GetSid(), Type: p.GetStype(), Epoch: p.GetEpoch(), State: state, Session: p.GetSession(), Added: p.GetAdded(),
			Via: p.GetVia(), Addr: p.GetAddr(), Answers: p.GetAnswers(), Problem: p.GetProblem(),
		})
	}
	return e
}

func (e explained) print(w io.Writer) error {
	age := "of unknown age"
	if e.AgeMS != nil {
		age = fmt.Sprintf("%v old", time.Duration(*e.AgeMS)*time.Millisecond)
	}
	parked := ""
	if e.Parked > 0 {
		parked = fmt.Sprintf(" and %d parked", e.Parked)
	}
	fmt.Fprintf(w, "%s\n(index %d, %s; the channel has %s%s and changed at %d)\n", e.Verdict, e.Index, age, plural(e.Members, "member"), parked, e.Changed)
	if len(e.Places) == 0 {
		return nil
	}
	var rows [][]string
	for _, p := range e.Places {
		answers := "yes"
		if !p.Answers {
			answers = p.Problem
		}
		rows = append(rows, []string{
			p.ID, p.Type, p.State, strconv.FormatUint(p.Epoch, 10), strconv.FormatUint(p.Session, 10),
			strconv.FormatUint(p.Added, 10), p.Addr, p.Via, answers,
		})
	}
	return printTable(w, "SERVER TYPE STATE EPOCH SESSION ADDED PUSH-TO VIA ANSWERS", rows)
}
