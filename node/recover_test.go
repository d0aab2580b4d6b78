package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/node/internal/disk"
)

// runOnce starts a server of its own cluster in dir, lets use do its work, and ends it.
func runOnce(t *testing.T, ctx context.Context, dir string, use func(*Node)) {
	t.Helper()
	n, err := Start(ctx, Config{SID: "c1", SType: "connector", DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(ctx); err != nil {
		t.Error(err)
	}
	use(n)
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

var onlyVoter = fmt.Sprintf("I know that %d of %d voters can be there and that a second cluster begins", 1, 1)

// A recovery that dies at any step leaves a directory that no server starts from, and
// that the next recovery brings to its end: one generation further, not two.
func TestRecovery_InterruptedIsGoneOnWith(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for name, die := range map[string]func(*wreck, *disk.Salvage, string) error{
		"before the snapshot":       func(*wreck, *disk.Salvage, string) error { return nil },
		"before the log is emptied": (*wreck).write,
		"before the end":            (*wreck).rewrite,
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			var old, before uint64
			runOnce(t, ctx, dir, func(n *Node) {
				if err := n.Add(ctx, "room", "alice", "c1"); err != nil {
					t.Error(err)
				}
				old, before = n.Self().Epoch, n.Index()
			})
			s, err := disk.OpenSalvage(ctx, dir, raftLogger(slog.New(slog.DiscardHandler)))
			if err != nil {
				t.Fatal(err)
			}
			w, err := readWreck(ctx, s)
			if err != nil {
				t.Fatal(err)
			}
			nodeID, err := s.Begin()
			if err := errors.Join(err, die(w, s, nodeID), s.Close()); err != nil {
				t.Fatal(err)
			}
			if _, err := Start(ctx, Config{SID: "c1", SType: "connector", DataDir: dir}); err == nil || !strings.Contains(err.Error(), "recovery that was interrupted: run it again") {
				t.Fatalf("started in the middle of a recovery: %v", err)
			}
			r, err := Recovery{DataDir: dir, Force: []string{onlyVoter}}.Run(ctx)
			if err != nil || r.NodeID != nodeID || r.Generation != 2 {
				t.Fatalf("%+v, %v", r, err)
			}
			runOnce(t, ctx, dir, func(n *Node) {
				if s := n.Self(); s.NodeID != nodeID || s.Epoch>>48 != 2 || s.Epoch <= old || n.Index() <= before {
					t.Errorf("%+v at %d, after epoch %d at %d", s, n.Index(), old, before)
				}
				if err := n.Add(ctx, "room", "bob", "c1"); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestRecovery_DryRunChangesNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := filepath.Join(t.TempDir(), "data")
	nodeID := ""
	runOnce(t, ctx, dir, func(n *Node) { nodeID = n.Self().NodeID })
	for range 2 {
		r, err := Recovery{DataDir: dir, DryRun: true}.Run(ctx)
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), onlyVoter) || r.OldNodeID != nodeID || r.NodeID != "" || r.Generation != 2 {
			t.Errorf("%+v, %v", r, err)
		}
		if r, err := (Recovery{DataDir: dir, DryRun: true, Force: []string{onlyVoter}}).Run(ctx); err != nil || r.NodeID != "" {
			t.Errorf("forced: %+v, %v", r, err)
		}
	}
	runOnce(t, ctx, dir, func(n *Node) {
		if s := n.Self(); s.NodeID != nodeID || s.Epoch>>48 != 1 {
			t.Errorf("%+v, want node %s of generation 1", s, nodeID)
		}
	})
}
