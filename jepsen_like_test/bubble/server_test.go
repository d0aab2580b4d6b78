package bubble_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/node"
)

// server is one sid, over all its processes.
type server struct {
	cfg     node.Config
	history *history.Recorder

	mu    sync.Mutex // guards all below
	now   *process   // nil: it does not run
	start int
	up    chan struct{} // closed when it runs; nil: nobody waits
}

// process is one start of a server.
type process struct {
	sid   string
	start int
	node  *node.Node

	mu   sync.Mutex // guards all below
	dead bool
	rnd  *rand.Rand // of the handler
}

// begin is a new process that has no node yet, and the config that its node is
// started with.
func (s *server) begin(seed uint64) (*process, node.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.start++
	p := &process{sid: s.cfg.SID, start: s.start, rnd: rand.New(rand.NewPCG(seed, uint64(s.start)))}
	s.history.Note(history.Event{F: history.Started, Via: p.sid, Start: p.start})
	cfg := s.cfg
	if cfg.SType == frontends {
		cfg.OnPush = func(ctx context.Context, d *node.Delivery) ([]string, error) { return s.handle(ctx, p, d), nil }
	}
	return p, cfg
}

// runs opens the process to workers.
func (s *server) runs(p *process, n *node.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.node, s.now = n, p
	if s.up != nil {
		close(s.up)
		s.up = nil
	}
}

// died is told right after the kill.
func (s *server) died() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.mu.Lock()
	defer s.now.mu.Unlock()
	s.now.dead = true
	s.now = nil
}

// process waits for one that runs; nil: ctx ended.
func (s *server) process(ctx context.Context) *process {
	for {
		s.mu.Lock()
		p := s.now
		if p == nil && s.up == nil {
			s.up = make(chan struct{})
		}
		up := s.up
		s.mu.Unlock()
		if p != nil {
			return p
		}
		select {
		case <-up:
		case <-ctx.Done():
			return nil
		}
	}
}

// alive runs note unless the process is dead.
func (p *process) alive(note func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dead {
		note()
	}
	return !p.dead
}

// lives are the epochs of all servers that this process knows.
func (p *process) lives() map[string]uint64 {
	lives := make(map[string]uint64)
	for _, s := range p.node.Servers() {
		lives[s.SID] = s.Epoch
	}
	return lives
}

// message is some bytes that carry their name. Some are so long that they fill frames.
func message(rnd *rand.Rand, name string) []byte {
	body := make([]byte, rnd.IntN(64))
	if rnd.IntN(50) == 0 {
		body = make([]byte, 200<<10)
	}
	for i := range body {
		body[i] = byte(rnd.Uint32())
	}
	return slices.Concat([]byte(name), []byte{0}, body)
}

func nameOf(msg []byte) string {
	name, _, _ := bytes.Cut(msg, []byte{0})
	return strings.ToValidUTF8(string(name), "?")
}

func sum(msg []byte) string { return fmt.Sprintf("%x", sha256.Sum256(msg)) }

// handle is the push handler of a frontend: mostly quick, now and then slow. Ghosts
// are never online.
func (s *server) handle(ctx context.Context, p *process, d *node.Delivery) (offline []string) {
	uids := slices.Sorted(d.UIDs())
	for _, uid := range uids {
		if strings.HasPrefix(uid, "ghost") {
			offline = append(offline, uid)
		}
	}
	var slow time.Duration
	p.alive(func() {
		s.history.Note(history.Event{
			F: history.Handed, Via: p.sid, Start: p.start, Channel: d.Channel, From: d.From,
			Msg: nameOf(d.Msg), Sum: sum(d.Msg), UIDs: uids, Offline: offline,
		})
		switch p.rnd.IntN(60) {
		case 0:
			slow = time.Duration(p.rnd.IntN(4000)) * time.Millisecond
		case 1, 2, 3, 4:
			slow = time.Duration(p.rnd.IntN(50)) * time.Millisecond
		}
	})
	pause(ctx, slow)
	return offline
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
