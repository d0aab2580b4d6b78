package node

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// raftLogger lets Raft speak through the host's logger, one level quieter: what
// Raft calls info happens on every healthy server and is nobody's news.
func raftLogger(l *slog.Logger) hclog.Logger {
	h := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Output: io.Discard, Level: hclog.Off})
	h.RegisterSink(&slogSink{log: l, said: make(map[string]*said)})
	return h
}

// repeatAfter is how long a line is not said again: while a server is down Raft
// complains about it many times a second.
const repeatAfter = 10 * time.Second

type slogSink struct {
	log *slog.Logger

	mu   sync.Mutex       // guards said
	said map[string]*said // by text, of which Raft has a fixed number
}

type said struct {
	at      time.Time
	dropped int
}

// due reports whether a line may be said now, and how often it was not.
func (s *slogSink) due(msg string, now time.Time) (ok bool, dropped int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, known := s.said[msg]
	if known && now.Sub(last.at) < repeatAfter {
		last.dropped++
		return false, 0
	}
	if !known {
		last = &said{}
		s.said[msg] = last
	}
	dropped, last.at, last.dropped = last.dropped, now, 0
	return true, dropped
}

// Accept implements hclog.SinkAdapter.
func (s *slogSink) Accept(name string, level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	switch level {
	case hclog.Warn:
		to = slog.LevelInfo
	case hclog.Error:
		to = slog.LevelWarn
	}
	if !s.log.Enabled(context.Background(), to) {
		return
	}
	ok, dropped := s.due(msg, time.Now())
	if !ok {
		return
	}
	attrs := make([]any, 0, len(args)+4)
	attrs = append(attrs, "from", name)
	if dropped > 0 {
		attrs = append(attrs, "repeated", dropped)
	}
	for i := 0; i+1 < len(args); i += 2 {
		value := args[i+1]
		if f, ok := value.(hclog.Format); ok && len(f) > 0 {
			value = fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
		}
		attrs = append(attrs, fmt.Sprint(args[i]), value)
	}
	s.log.Log(context.Background(), to, msg, attrs...)
}
