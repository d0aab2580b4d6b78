package main

import (
	"errors"
	"regexp"
	"strings"

	"github.com/pofresh/globalchannel/node"
)

// startError says in terms of flags what node.Start says in terms of Config. The
// words are the library's, so that there is one place that knows what is right.
func startError(err error) error {
	if !errors.Is(err, node.ErrInvalidArgument) {
		return err
	}
	return &flagError{inFlags(err.Error()), err}
}

// flagError is err in other words.
type flagError struct {
	text string
	err  error
}

func (e *flagError) Error() string { return e.text }
func (e *flagError) Unwrap() error { return e.err }

// inFlags replaces the names of Config's fields, but not inside of quoted values.
func inFlags(text string) string {
	flag := map[string]string{
		"SID": "--id", "SType": "--type", "Zone": "--zone", "DataDir": "--data", "LogStore": "--log-store", "Listen": "--listen", "Advertise": "--advertise",
		"Expect": "--expect", "Join": "--join", "NonVoter": "--non-voter", "Secret": "--secret-file", "Insecure": "--insecure",
		"Cluster": "--reap-after, --forget-after or --remove-after", "ReapAfter": "--reap-after",
		"Cluster.ForgetAfter": "--forget-after", "Cluster.RemoveAfter": "--remove-after",
		"Cluster.MaxVoters": "--max-voters", "Cluster.Limits.MessageBytes": "--max-message-bytes",
		"Cluster.Limits.Members": "--max-members", "Cluster.Limits.Channels": "--max-channels", "Cluster.Limits.Servers": "--max-servers",
	}
	word := regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\b(?:Config\.)?[A-Z]\w*\b(?:\.[A-Z]\w*)*`)
	text = strings.ReplaceAll(text, node.ErrInvalidArgument.Error()+": ", "")
	return word.ReplaceAllStringFunc(text, func(w string) string {
		if f, ok := flag[strings.TrimPrefix(w, "Config.")]; ok {
			return f
		}
		return w
	})
}
