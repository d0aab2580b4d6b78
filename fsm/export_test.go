package fsm

import (
	"fmt"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// CheckIndexes compares what the state derives with what it derives it from.
func CheckIndexes(s *State) error {
	n, parked := 0, 0
	for name, c := range s.channels {
		if c.name != name {
			return fmt.Errorf("channel %q is called %q", name, c.name)
		}
		if len(c.members) == 0 && c.options == nil {
			return fmt.Errorf("channel %q exists without members or options", name)
		}
		for sid, uids := range c.members {
			if len(uids) == 0 {
				return fmt.Errorf("channel %q keeps an empty set for %q", name, sid)
			}
			for uid := range uids {
				n++
				if s.hidden(sid) {
					parked++
				}
				if h := s.held[sid]; h == nil || !holds(h.players[uid], c) {
					return fmt.Errorf("no way back from (%q, %q) to %q", uid, sid, name)
				}
			}
		}
	}
	back := 0
	for sid, h := range s.held {
		if len(h.players) == 0 || h.sid != sid {
			return fmt.Errorf("empty way back of %q, or that of %q", sid, h.sid)
		}
		if srv := s.servers[sid]; h.parked != (srv != nil && !srv.Up) {
			return fmt.Errorf("members of %q parked: %v", sid, h.parked)
		}
		own := back
		for uid, w := range h.players {
			if w.empty() || w.uid != uid {
				return fmt.Errorf("empty way back of (%q, %q), or that of %q", uid, sid, w.uid)
			}
			for range w.all() {
				back++
			}
		}
		if back-own != h.count {
			return fmt.Errorf("%d memberships on %q, %d counted", back-own, sid, h.count)
		}
	}
	if st := s.Stats(); n != back || n != s.memberships+parked || s.parked != parked || st.Parked != parked || st.Memberships != s.memberships {
		return fmt.Errorf("%d memberships, %d ways back, %d counted, %d parked, %+v", n, back, s.memberships, parked, st)
	}
	return nil
}

func holds(w ways, c *channel) bool {
	for held := range w.all() {
		if held == c {
			return true
		}
	}
	return false
}

// ApplyMessage applies an entry that never was bytes.
func ApplyMessage(r *Replica, index uint64, e *fsmpb.Entry) Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.Apply(index, e)
}

// SetOptions does what no operation does yet, for the snapshot's sake.
func SetOptions(s *State, name string, o *fsmpb.ChannelOptions, index uint64) {
	if s.channels[name] == nil {
		s.channels[name] = newChannel(name)
	}
	s.channels[name].options, s.channels[name].changed = o, index
}

// Options reads them back.
func Options(s *State, name string) *fsmpb.ChannelOptions { return s.channels[name].options }

// SetMeta likewise.
func SetMeta(s *State, name, sid, uid, meta string) {
	m := s.channels[name].members[sid][uid]
	m.meta = meta
	s.channels[name].members[sid][uid] = m
}

// SetForgotten likewise.
func SetForgotten(s *State, index uint64) { s.forgotten = index }

// WaitersLen says how many wait.
func WaitersLen(r *Replica) int {
	r.waiters.mu.Lock()
	defer r.waiters.mu.Unlock()
	return len(r.waiters.heap)
}
