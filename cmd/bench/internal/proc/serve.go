package proc

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// Handler answers one kind of request. Handlers run concurrently.
type Handler func(ctx context.Context, args json.RawMessage) (any, error)

// Handle makes a Handler of a function with typed arguments and result.
func Handle[A, R any](f func(context.Context, A) (R, error)) Handler {
	return func(ctx context.Context, raw json.RawMessage) (any, error) {
		var args A
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &args); err != nil {
				return nil, fmt.Errorf("arguments: %w", err)
			}
		}
		return f(ctx, args)
	}
}

// None is for requests without arguments, or without a result.
type None struct{}

// Serve answers requests until in ends; then it ends the context of those that
// are being answered and waits for them.
func Serve(ctx context.Context, in io.Reader, out io.Writer, handlers map[string]Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	var busy sync.WaitGroup
	defer busy.Wait()
	defer cancel()
	w := &writer{w: out}
	return receive(in, func(r request) {
		busy.Go(func() {
			// It fails only when nobody reads any more; then in ends too.
			_ = w.send(answer(ctx, handlers, r))
		})
	})
}

func answer(ctx context.Context, handlers map[string]Handler, r request) reply {
	h, ok := handlers[r.Do]
	if !ok {
		return reply{ID: r.ID, Err: fmt.Sprintf("unknown request %q", r.Do)}
	}
	result, err := h(ctx, r.Args)
	if err != nil {
		return reply{ID: r.ID, Err: err.Error()}
	}
	raw, err := json.Marshal(result)
	if err != nil {
		return reply{ID: r.ID, Err: err.Error()}
	}
	return reply{ID: r.ID, Result: raw}
}
