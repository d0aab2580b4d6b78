package node

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// readyAge is how old a replica may be for its server to count as ready.
const readyAge = 10 * time.Second

// HTTPHandler serves, for probes and for Prometheus:
//
//	/healthz   200 while the node works: it is not closed, was not refused, its store is good
//	/readyz    200 while players may be sent here: registered, a leader is known, the
//	           replica no more than 10 s old; else 503 with the reasons, one a line
//	/metrics   Prometheus text
//
// It can be mounted on the host's mux before the node is ready, and answers after Close
// too. It only reads, and tells no names of channels or players and no secrets. It never
// waits for the disk, and for the leader 200 ms at most: /readyz and /metrics measure the
// age of the replica if the last time is over 1 s ago.
func (n *Node) HTTPHandler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(newGauges(n))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { verdict(w, n.unhealthy()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		n.ageForHTTP(r.Context())
		verdict(w, n.unready())
	})
	metrics := promhttp.HandlerFor(prometheus.Gatherers{n.meters.registry, registry}, promhttp.HandlerOpts{})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		n.ageForHTTP(r.Context())
		metrics.ServeHTTP(w, r)
	})
	return mux
}

// ageForHTTP: on a quiet server nobody else measures it, and it would be told as old as
// the last probe is long ago.
func (n *Node) ageForHTTP(ctx context.Context) {
	if n.ctx.Err() == nil {
		n.awaitAge(ctx)
	}
}

func verdict(w http.ResponseWriter, reasons []string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if len(reasons) == 0 {
		fmt.Fprintln(w, "ok")
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	for _, r := range reasons {
		fmt.Fprintln(w, strings.ReplaceAll(r, "\n", "; "))
	}
}

// unhealthy is why another start would do this server good.
func (n *Node) unhealthy() (reasons []string) {
	if n.closing.Load() {
		return []string{ErrClosed.Error()}
	}
	if err := n.failure(); err != nil {
		reasons = append(reasons, err.Error())
	}
	if err := n.store.Guard.Err(); err != nil {
		reasons = append(reasons, err.Error())
	}
	return reasons
}

// unready is why players should not be sent here. It must not look into the identity,
// which is locked while it is written to the disk.
func (n *Node) unready() []string {
	reasons := n.unhealthy()
	if n.closing.Load() {
		return reasons
	}
	if halted := n.replica.Halted(); halted != nil {
		reasons = append(reasons, halted.Error())
	}
	if err := n.consensus.fitness.distrusted(); err != nil {
		reasons = append(reasons, err.Error())
	}
	_, waits := n.life.now()
	switch _, ok := n.life.current(); {
	case !ok && n.failure() == nil:
		reasons = append(reasons, strings.TrimSuffix("this server is not registered yet: "+waits, ": "))
	case n.life.isFenced() && n.failure() == nil:
		reasons = append(reasons, waits)
	}
	if leader, _ := n.consensus.Leader(); leader == "" {
		reasons = append(reasons, "no leader is known")
	}
	if p := n.cluster.Problem(); p != "" {
		reasons = append(reasons, p)
	}
	if old, known := n.reader.old(); known && old > readyAge {
		reasons = append(reasons, fmt.Sprintf("the replica is %v old", old.Round(time.Second/10)))
	} else if !known {
		reasons = append(reasons, "the replica has not caught up with the leader yet")
	}
	return reasons
}
