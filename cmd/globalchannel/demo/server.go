package demo

import (
	"fmt"
	"time"
)

// server is what the demo knows of one of its servers.
type server struct {
	assignment
	proc    *process // the current one, or the last
	life    int      // 1, 2, 3... starts
	nodeID  string
	up      bool // its process runs
	ready   bool // its life is registered
	full    bool // its players have logged in
	settled bool
	counted bool     // all that its handler was handed was told
	problem string   // what its node says it waits for
	refusal string   // the newest operation that failed, in words
	shows   []string // the servers of which it shows players
	kill    *killing // from its kill until its players are back
	pushes  pushSums // of this life
	earlier pushSums // of those before
}

// killing is one kill, until the server's players are back.
type killing struct {
	at    time.Duration
	dead  bool // the process is known to be gone
	stay  bool // it stays so until its players are gone everywhere
	still stillness
}

// waitsFor says why a server is not yet where it should be.
func (s *server) waitsFor() string {
	state := "its players have not all logged in"
	switch {
	case !s.up:
		state = "not running"
	case !s.ready:
		state = "not registered"
	}
	if s.problem != "" {
		state += fmt.Sprintf(" (%s)", s.problem)
	}
	if s.refusal != "" {
		state += fmt.Sprintf("; last failure: %s", s.refusal)
	}
	return s.SID + ": " + state
}
