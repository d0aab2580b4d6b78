package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// lookup is os.LookupEnv, or a test's.
type lookup func(name string) (string, bool)

const envPrefix = "GLOBALCHANNEL_"

// envName is the variable of a flag: secret-file is GLOBALCHANNEL_SECRET_FILE.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// applyEnvironment sets the flags that the command line left out. They are not
// marked as changed: where two flags exclude each other, one from the command
// line is meant and one from the environment gives way.
func applyEnvironment(flags *pflag.FlagSet, env lookup) error {
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" || failed != nil {
			return
		}
		value, ok := env(envName(f.Name))
		if !ok || value == "" {
			return
		}
		if err := f.Value.Set(value); err != nil {
			failed = wrongUsage("invalid value %q of %s (the same as --%s): %v", value, envName(f.Name), f.Name, err)
		}
	})
	return failed
}

// need demands flags that have no sensible default. An empty value counts if it
// was given in so many words: an empty message may be pushed.
func need(cmd *cobra.Command, names ...string) error {
	var missing []string
	for _, name := range names {
		if f := cmd.Flags().Lookup(name); !f.Changed && f.Value.String() == "" {
			missing = append(missing, "--"+name+" (or "+envName(name)+")")
		}
	}
	if len(missing) > 0 {
		return wrongUsage("missing %s", strings.Join(missing, ", "))
	}
	return nil
}
