package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/pofresh/globalchannel/node"
)

// serveHTTP has the window open while serve runs.
func (a *agent) serveHTTP(ctx context.Context, n *node.Node, stdout io.Writer, serve func() error) error {
	if a.http == "" {
		return serve()
	}
	w, err := openWindow(ctx, a.http, n.HTTPHandler())
	if err != nil {
		return err
	}
	defer w.close()
	fmt.Fprintf(stdout, "%s serves http://%s/healthz, /readyz and /metrics\n", cell(n.Self().SID), w.addr)
	return serve()
}

// window is the agent's HTTP port, for probes and Prometheus. It only reads, so it
// needs no secret, wherever it listens.
type window struct {
	addr   string
	server *http.Server
	done   chan error
}

// openWindow binds addr, so that a wrong or taken one is the start's error.
func openWindow(ctx context.Context, addr string, h http.Handler) (*window, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen at --http %s: %w", addr, err)
	}
	w := &window{
		addr: l.Addr().String(), done: make(chan error, 1),
		// A slow client must not hold a connection for ever.
		server: &http.Server{Handler: h, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10},
	}
	go func() { w.done <- w.server.Serve(l) }()
	return w, nil
}

// close answers what is being asked, for a second.
func (w *window) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if w.server.Shutdown(ctx) != nil {
		_ = w.server.Close() // ends what a second was too short for
	}
	<-w.done
}
