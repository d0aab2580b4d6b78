package workload

import (
	"context"
	"errors"
	"fmt"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// Embedding is a server whose processes callers can be part of, as a game server is that
// embeds a node.
type Embedding interface {
	Server
	Inside() Process // that runs now; nil: none does
}

// Process is one start of a server, for callers within.
type Process interface {
	Number() int // of the start, from 1
	// Write does what the event asks for; changed is for groups only.
	Write(ctx context.Context, e history.Event) (index uint64, changed []bool, err error)
	// Alive runs note unless the process is dead: whoever was in it was told nothing more.
	Alive(note func()) bool
}

// inside says whether the worker is part of its server's process: every other one is, of
// those that write. Its calls are promised an order that those of clients are not.
func (w *linearWorker) inside() (Embedding, bool) {
	e, ok := w.server.(Embedding)
	return e, ok && w.number%2 == 0
}

var errDown = errors.New("the server does not run")

// way is how a write gets to its server. told runs note if anybody is left to hear of it.
type way struct {
	write func(ctx context.Context, e history.Event) (index uint64, changed []bool, err error)
	told  func(note func()) bool
}

// way notes in e how it is sent.
func (w *linearWorker) way(e *history.Event) (way, error) {
	e.Worker, e.Via = w.number, w.server.ID()
	if server, ok := w.inside(); ok {
		p := server.Inside()
		if p == nil {
			return way{}, fmt.Errorf("%s: %w", e.Via, errDown)
		}
		e.Embedded, e.Start = true, p.Number()
		return way{p.Write, p.Alive}, nil
	}
	client, err := w.server.Client()
	return way{
		write: func(ctx context.Context, e history.Event) (uint64, []bool, error) { return call(ctx, client, e) },
		told:  func(note func()) bool { note(); return true },
	}, err
}
