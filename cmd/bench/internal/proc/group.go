package proc

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Group starts children and ends them all. Its logs stand in one directory.
type Group struct {
	exe, logs string

	mu  sync.Mutex // guards all
	all []*Process
}

// NewGroup makes a group whose children write their stderr into the directory logs.
func NewGroup(logs string) (*Group, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own executable: %w", err)
	}
	return &Group{exe: exe, logs: logs}, nil
}

// Start runs one more child.
func (g *Group) Start(name string) (*Process, error) {
	p, err := start(g.exe, name, filepath.Join(g.logs, name+".log"))
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = append(g.all, p)
	return p, nil
}

// patience is how long children may take to end.
const patience = 2 * time.Second

// Close ends all children by closing their stdin, kills those that take too long,
// and waits until all are gone.
func (g *Group) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, p := range g.all {
		_ = p.stdin.Close() // an error says that it is gone
	}
	for _, p := range g.all {
		_ = p.End(ctx) // how it ended does not matter any more
	}
	g.all = nil
}
