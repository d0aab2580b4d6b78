package sim

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

// process is one start of a server.
type process struct {
	sid   string
	start int
	node  *node.Node

	mu   sync.Mutex // guards all below
	dead bool
	rnd  *rand.Rand // of the handler
}

// die is told right after the kill.
func (p *process) die() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
}

// Alive implements workload.Process.
func (p *process) Alive(note func()) bool {
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
func (s *Server) handle(ctx context.Context, p *process, d *node.Delivery) (offline []string) {
	if d.Channel == epilogue {
		return nil
	}
	uids := slices.Sorted(d.UIDs())
	for _, uid := range uids {
		if strings.HasPrefix(uid, "ghost") {
			offline = append(offline, uid)
		}
	}
	var slow time.Duration
	p.Alive(func() {
		s.cluster.history.Note(history.Event{
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
