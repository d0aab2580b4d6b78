package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

const (
	configFlag    = "config"
	maxConfigFile = 1 << 20
)

// applyConfigFile sets the flags that neither the command line nor the environment
// has set, from a YAML file whose keys are the names of the flags. Like the
// environment it leaves them unmarked.
//
// Only the tree of the file is used, with every value as the text that stands there:
// the flags know what they take, and an id of 007 stays one.
func applyConfigFile(flags *pflag.FlagSet, path string, env lookup) error {
	root, err := readConfigFile(path)
	if err != nil || root == nil {
		return err
	}
	if root.Kind != yaml.MappingNode {
		return wrongUsage("--config %s:%d: no KEY: VALUE lines, with the names of flags as keys", path, root.Line)
	}
	lines := make(map[string]int)
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		at := fmt.Sprintf("--config %s:%d: %s", path, key.Line, short(key.Value))
		f := flags.Lookup(key.Value)
		if f == nil || f.Name == configFlag || f.Name == "help" || key.Kind != yaml.ScalarNode {
			return wrongUsage("%s: no such key; there are: %s", at, strings.Join(configKeys(flags), ", "))
		}
		if before := lines[f.Name]; before > 0 {
			return wrongUsage("%s: already set in line %d", at, before)
		}
		lines[f.Name] = key.Line
		if err := setFromFile(f, value, given(f, env)); err != nil {
			return wrongUsage("%s: %v", at, err)
		}
	}
	return nil
}

// readConfigFile gives the one document of the file; nil if there is none.
func readConfigFile(path string) (*yaml.Node, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read --config: %w", err)
	}
	defer f.Close()
	decoder := yaml.NewDecoder(io.LimitReader(f, maxConfigFile+1))
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, wrongUsage("--config %s: %v", path, err)
	case len(document.Content) != 1 || document.Content[0].Tag == "!!null":
		return nil, nil
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, wrongUsage("--config %s: one document is allowed, of at most %d bytes", path, maxConfigFile)
	}
	return document.Content[0], nil
}

// setFromFile checks the value even if another one goes before it: a file that is
// wrong is wrong every day.
func setFromFile(f *pflag.Flag, value *yaml.Node, overruled bool) error {
	list, isList := f.Value.(pflag.SliceValue)
	switch value.Kind {
	case yaml.SequenceNode:
		if !isList {
			return errors.New("one value is expected, not a list")
		}
		var texts []string
		for _, item := range value.Content {
			if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
				return fmt.Errorf("line %d: a plain value is expected", item.Line)
			}
			texts = append(texts, item.Value)
		}
		if overruled {
			return nil
		}
		return list.Replace(texts)
	case yaml.ScalarNode:
		if value.Tag == "!!null" {
			return errors.New("has no value; leave the line out for the default")
		}
		if overruled && isList {
			return nil // a second Set would add to the first
		}
		old := f.Value.String()
		if err := f.Value.Set(value.Value); err != nil {
			return fmt.Errorf("%q: %w", value.Value, err)
		}
		if overruled {
			return f.Value.Set(old)
		}
		return nil
	default:
		return errors.New("a plain value or a list is expected")
	}
}

// given: the command line or the environment has set it.
func given(f *pflag.Flag, env lookup) bool {
	value, ok := env(envName(f.Name))
	return f.Changed || ok && value != ""
}

func configKeys(flags *pflag.FlagSet) []string {
	var keys []string
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != configFlag && f.Name != "help" {
			keys = append(keys, f.Name)
		}
	})
	return keys
}

// short is a key that fits into a line.
func short(key string) string {
	if len(key) > 64 {
		return cell(key[:64]) + "..."
	}
	return cell(key)
}
