package main

import (
	"github.com/google/uuid"
	"github.com/spf13/cobra"
)

func newListen() *cobra.Command {
	f := &frontend{incarnation: uuid.NewString()}
	var offline []string
	cmd := &cobra.Command{
		Use:   "listen --id SID --type STYPE",
		Short: "Be a frontend: print every push as a line of JSON",
		Long: `Register a frontend for as long as this command runs, and print every push to it as one
line of JSON: route, channel, uids, and msg, or msg_base64 where that is not UTF-8. The
uids are all that the push is for, those of --offline included.
When the server that it is attached to goes away, it attaches again.`,
		Args: positional(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := need(cmd, "id", "type"); err != nil {
				return err
			}
			if err := f.validate(); err != nil {
				return err
			}
			secret, err := readSecret(f.secretFile, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			f.secret, f.stderr = secret, cmd.ErrOrStderr()
			f.offline = make(map[string]bool, len(offline))
			for _, uid := range offline {
				f.offline[uid] = true
			}
			return f.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	f.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.sid, "id", "", "id of the frontend, one that nobody has")
	flags.StringVar(&f.stype, "type", "", "type of the frontend: connector...")
	flags.StringVar(&f.zone, "zone", "", "where it runs, for people")
	flags.StringSliceVar(&offline, "offline", nil, "uids to answer as offline, separated by commas")
	return cmd
}
