package demo

import (
	"context"
	"iter"
	"sync"

	"github.com/pofresh/globalchannel/node"
)

// pushSums adds up the reports of pushes. Members are counted, not servers, so
// Delivered + NotDelivered + Unknown + Offline = Members.
type pushSums struct {
	Pushes       int64 `json:"pushes"`
	Members      int64 `json:"members"` // that were meant
	Delivered    int64 `json:"delivered"`
	NotDelivered int64 `json:"not_delivered"`
	Unknown      int64 `json:"unknown"`
	Offline      int64 `json:"offline"`
	Errors       int64 `json:"errors"` // calls that returned one
}

func (s *pushSums) add(o pushSums) {
	s.Pushes += o.Pushes
	s.Members += o.Members
	s.Delivered += o.Delivered
	s.NotDelivered += o.NotDelivered
	s.Unknown += o.Unknown
	s.Offline += o.Offline
	s.Errors += o.Errors
}

// pushTally is pushSums for many players at once.
type pushTally struct {
	mu   sync.Mutex // guards sums
	sums pushSums
}

func (t *pushTally) add(res node.PushResult, err error) {
	s := pushSums{Pushes: 1, Members: int64(res.Members)}
	if err != nil {
		s.Errors = 1
	}
	for _, r := range res.Servers {
		members, offline := int64(r.Members), int64(len(r.Failed))
		switch r.Outcome {
		case node.Delivered:
			s.Offline += offline
			s.Delivered += members - offline
		case node.NotDelivered:
			s.NotDelivered += members
		default:
			s.Unknown += members
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sums.add(s)
}

func (t *pushTally) get() pushSums {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sums
}

// sessions are the players connected to this server.
type sessions struct {
	mu   sync.RWMutex // guards here
	here map[string]struct{}
}

func newSessions() *sessions { return &sessions{here: make(map[string]struct{})} }

func (s *sessions) open(uid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.here[uid] = struct{}{}
}

func (s *sessions) close(uid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.here, uid)
}

// offline are those of uids who are not connected.
func (s *sessions) offline(uids iter.Seq[string]) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var gone []string
	for uid := range uids {
		if _, ok := s.here[uid]; !ok {
			gone = append(gone, uid)
		}
	}
	return gone
}

// onPush is the node's handler: a real server would write to its players'
// connections here. It waits for nothing.
func (s *sessions) onPush(_ context.Context, d *node.Delivery) ([]string, error) {
	return s.offline(d.UIDs()), nil
}
