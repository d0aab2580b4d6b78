package sim

import (
	"bytes"
	"log/slog"
	"sync"
)

// maxLog bounds what is kept of one server's log: of the end, at least half of it.
const maxLog = 1 << 20

// journal is a server's log over all its processes, in simulated time.
type journal struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (j *journal) handler() slog.Handler { return slog.NewTextHandler(j, nil) }

// Write implements io.Writer.
func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.text.Len() > maxLog {
		j.text.Next(maxLog / 2)
	}
	return j.text.Write(line)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}
