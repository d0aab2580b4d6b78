package cluster

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"sync"
	"time"
)

// gossipLog turns memberlist's lines into records of our logger, tamed: it calls
// an unanswered probe an error and reports each stray packet, so its errors are
// at most warnings here and all but a few of them in ten seconds are only counted.
type gossipLog struct {
	logger *slog.Logger

	mu      sync.Mutex // guards what follows
	window  time.Time  // when the current ten seconds began
	written int
	dropped int
}

const (
	gossipLogWindow = 10 * time.Second
	gossipLogBurst  = 5
)

func newGossipLog(l *slog.Logger) *log.Logger { return log.New(&gossipLog{logger: l}, "", 0) }

func (g *gossipLog) Write(line []byte) (int, error) {
	level, text := parseGossipLine(line)
	if !g.logger.Enabled(context.Background(), level) {
		return len(line), nil
	}
	if level == slog.LevelDebug {
		g.logger.Debug("gossip: " + text)
		return len(line), nil
	}
	if dropped, ok := g.admit(time.Now()); ok {
		g.logger.Log(context.Background(), level, "gossip: "+text, "lines_left_out_before", dropped)
	}
	return len(line), nil
}

// admit tells whether one more line fits, and how many did not since the last.
func (g *gossipLog) admit(now time.Time) (dropped int, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Sub(g.window) >= gossipLogWindow || now.Before(g.window) {
		g.window, g.written = now, 0
	}
	if g.written >= gossipLogBurst {
		g.dropped++
		return 0, false
	}
	g.written++
	dropped, g.dropped = g.dropped, 0
	return dropped, true
}

// parseGossipLine takes "[WARN] memberlist: text" apart.
func parseGossipLine(line []byte) (slog.Level, string) {
	line = bytes.TrimSpace(line)
	level := slog.LevelDebug
	if tag, rest, ok := bytes.Cut(line, []byte("] ")); ok && bytes.HasPrefix(tag, []byte("[")) {
		switch string(tag[1:]) {
		case "ERR", "ERROR":
			level = slog.LevelWarn
		case "WARN":
			level = slog.LevelInfo
		}
		line = rest
	}
	return level, string(bytes.TrimPrefix(line, []byte("memberlist: ")))
}
