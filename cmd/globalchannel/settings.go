package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// setting is one of the cluster's, under the name that the agent's flag has.
type setting struct {
	name string
	get  func(*pb.Settings) string
	set  func(*pb.Settings, string) error
}

func clusterSettings() []setting {
	millis := func(name string, of func(*pb.Settings) *int64) setting {
		return setting{name, func(s *pb.Settings) string { return (time.Duration(*of(s)) * time.Millisecond).String() }, func(s *pb.Settings, v string) error {
			d, err := time.ParseDuration(v)
			*of(s) = d.Milliseconds()
			return err
		}}
	}
	number := func(name string, of func(*pb.Settings) *int32) setting {
		return setting{name, func(s *pb.Settings) string { return strconv.Itoa(int(*of(s))) }, func(s *pb.Settings, v string) error {
			n, err := strconv.ParseInt(v, 10, 32)
			*of(s) = int32(n)
			return err
		}}
	}
	count := func(name string, of func(*pb.Settings) *int64) setting {
		return setting{name, func(s *pb.Settings) string { return strconv.FormatInt(*of(s), 10) }, func(s *pb.Settings, v string) (err error) {
			*of(s), err = strconv.ParseInt(v, 10, 64)
			return err
		}}
	}
	return []setting{
		millis("reap-after", func(s *pb.Settings) *int64 { return &s.ReapAfterMs }),
		millis("forget-after", func(s *pb.Settings) *int64 { return &s.ForgetAfterMs }),
		millis("remove-after", func(s *pb.Settings) *int64 { return &s.RemoveAfterMs }),
		number("max-voters", func(s *pb.Settings) *int32 { return &s.MaxVoters }),
		number("max-message-bytes", func(s *pb.Settings) *int32 { return &s.MaxMessageBytes }),
		count("max-members", func(s *pb.Settings) *int64 { return &s.MaxMembers }),
		count("max-channels", func(s *pb.Settings) *int64 { return &s.MaxChannels }),
		count("max-servers", func(s *pb.Settings) *int64 { return &s.MaxServers }),
		{"external-sids", func(s *pb.Settings) string { return strconv.FormatBool(s.ExternalSids) }, func(s *pb.Settings, v string) (err error) {
			s.ExternalSids, err = strconv.ParseBool(v)
			return err
		}},
	}
}

func newSettings() *cobra.Command {
	var (
		c      connection
		f      format
		change []string
	)
	cmd := &cobra.Command{
		Use:   "settings [--set NAME=VALUE]...",
		Short: "Show the settings that all servers of the cluster share, or change some of them",
		Long: `Show the settings that all servers of the cluster share, or change some of them, for all
servers at once and for good: what a server's own flags say counts at the founding only.
The names are those of the agent's flags. 0 is the default, or no limit.`,
		Args: positional(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.do(cmd, 0, func(ctx context.Context, client pb.GlobalChannelClient) error {
				now, err := client.GetSettings(ctx, &pb.GetSettingsRequest{}, bounded()...)
				if err != nil {
					return err
				}
				if len(change) > 0 {
					if err := changeSettings(now.Settings, change); err != nil {
						return err
					}
					if _, err := client.SetSettings(ctx, &pb.SetSettingsRequest{Settings: now.Settings, Seen: now.Index}, bounded()...); err != nil {
						return err
					}
				}
				return printSettings(cmd, f, now.Settings)
			})
		},
	}
	c.register(cmd)
	c.writes, c.tells = true, true
	f.register(cmd.Flags())
	cmd.Flags().StringArrayVar(&change, "set", nil, "NAME=VALUE; may be given several times")
	return cmd
}

func changeSettings(s *pb.Settings, change []string) error {
	known := clusterSettings()
	for _, c := range change {
		name, value, ok := strings.Cut(c, "=")
		if !ok {
			return wrongUsage("--set %q is not NAME=VALUE", c)
		}
		found := false
		var names []string
		for _, k := range known {
			names = append(names, k.name)
			if k.name != name {
				continue
			}
			found = true
			if err := k.set(s, value); err != nil {
				return wrongUsage("--set %s: %v", c, err)
			}
		}
		if !found {
			return wrongUsage("--set %q: there is no such setting; there are %s", name, strings.Join(names, ", "))
		}
	}
	return nil
}

func printSettings(cmd *cobra.Command, f format, s *pb.Settings) error {
	if f == formatJSON {
		return printJSON(cmd.OutOrStdout(), struct {
			ReapAfterMS     int64 `json:"reap_after_ms"`
			ForgetAfterMS   int64 `json:"forget_after_ms"`
			RemoveAfterMS   int64 `json:"remove_after_ms"`
			MaxVoters       int32 `json:"max_voters"`
			MaxMessageBytes int32 `json:"max_message_bytes"`
			MaxMembers      int64 `json:"max_members"`
			MaxChannels     int64 `json:"max_channels"`
			MaxServers      int64 `json:"max_servers"`
			ExternalSIDs    bool  `json:"external_sids"`
		}{s.ReapAfterMs, s.ForgetAfterMs, s.RemoveAfterMs, s.MaxVoters, s.MaxMessageBytes, s.MaxMembers, s.MaxChannels, s.MaxServers, s.ExternalSids})
	}
	var rows [][]string
	for _, k := range clusterSettings() {
		rows = append(rows, []string{k.name, k.get(s)})
	}
	if err := printTable(cmd.OutOrStdout(), "SETTING VALUE", rows); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}
