package demo

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// goOn keeps the cluster up until ctx ends, under gentle load, and tells how to
// try it from a second terminal. Whoever is killed there is started again.
func (r *run) goOn(ctx context.Context) error {
	for _, s := range r.servers {
		s.Gentle = true
		if err := s.proc.tell(order{orderGentle}); err != nil {
			return err
		}
	}
	r.out.title("\nIt goes on until Ctrl-C. In a second terminal:")
	var told []string
	err := r.loop(ctx, func() (bool, error) {
		if len(r.everybodyIn()) > 0 {
			return false, nil
		}
		// After a kill the leader is another, and what to paste with it.
		for _, line := range r.paste() {
			if !slices.Contains(told, line) {
				r.out.title("  %s", line)
				told = append(told, line)
			}
		}
		return false, nil
	})
	if ctx.Err() != nil {
		return nil // Ctrl-C is how this ends
	}
	return err
}

// paste is the three lines; none while nobody is known to lead.
func (r *run) paste() []string {
	lead := r.leading()
	if lead == nil {
		return nil
	}
	// To be asked is somebody else than the one who is to be killed.
	asked := lead
	if i := slices.IndexFunc(r.servers, func(s *server) bool { return s != lead }); i >= 0 {
		asked = r.servers[i]
	}
	self := invocation(r.fleet.exe)
	where := fmt.Sprintf("--addr %s --secret-file %s", asked.Listen, quote(r.stage.secretFile))
	return []string{
		fmt.Sprintf("%s members guild:1 %s", self, where),
		fmt.Sprintf("%s push guild:1 --type %s --route news --msg hello %s", self, stype, where),
		fmt.Sprintf("kill -9 %d", lead.proc.pid()),
	}
}

// invocation is how to call this executable from another terminal. That of "go
// run" lives in a folder that is gone when it ends, and in a place nobody types.
func invocation(exe string) string {
	if strings.Contains(filepath.ToSlash(exe), "/go-build") {
		return "go run ./cmd/globalchannel"
	}
	name := filepath.Base(exe)
	if found, err := exec.LookPath(name); err == nil && sameFile(found, exe) {
		return quote(name)
	}
	return quote(exe)
}

func sameFile(a, b string) bool {
	ai, aerr := os.Stat(a)
	bi, berr := os.Stat(b)
	return aerr == nil && berr == nil && os.SameFile(ai, bi)
}

// quote makes s one word for a shell.
func quote(s string) string {
	plain := func(c rune) bool {
		return strings.ContainsRune("/._-+:@%=,", c) || ('0' <= c && c <= '9') || ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z')
	}
	if s != "" && strings.IndexFunc(s, func(c rune) bool { return !plain(c) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
