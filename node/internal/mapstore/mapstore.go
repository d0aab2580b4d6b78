// Package mapstore is the smallest store of channels that a node.ChannelManager can be:
// one map. It is for tests.
package mapstore

import (
	"context"
	"maps"
	"sync"
)

// Store is a node.ChannelManager with PurgeSID. The zero value is empty.
type Store struct {
	mu      sync.Mutex // guards members
	members map[member]struct{}
}

type member struct{ name, uid, sid string }

// Start implements node.ChannelManager.
func (s *Store) Start(context.Context) error { return nil }

// Stop implements node.ChannelManager.
func (s *Store) Stop(context.Context) error { return nil }

// Clean implements node.ChannelManager.
func (s *Store) Clean(context.Context) error {
	return s.remove(func(member) bool { return true })
}

// Add implements node.ChannelManager.
func (s *Store) Add(_ context.Context, name, uid, sid string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.members == nil {
		s.members = make(map[member]struct{})
	}
	s.members[member{name, uid, sid}] = struct{}{}
	return nil
}

// Leave implements node.ChannelManager.
func (s *Store) Leave(_ context.Context, name, uid, sid string) error {
	return s.remove(func(m member) bool { return m == member{name, uid, sid} })
}

// MembersBySID implements node.ChannelManager.
func (s *Store) MembersBySID(_ context.Context, name, sid string) (uids []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for m := range s.members {
		if m.name == name && m.sid == sid {
			uids = append(uids, m.uid)
		}
	}
	return uids, nil
}

// DestroyChannel implements node.ChannelManager.
func (s *Store) DestroyChannel(_ context.Context, name string) error {
	return s.remove(func(m member) bool { return m.name == name })
}

// PurgeSID implements node.SIDPurger.
func (s *Store) PurgeSID(_ context.Context, sid string) error {
	return s.remove(func(m member) bool { return m.sid == sid })
}

func (s *Store) remove(which func(member) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.members, func(m member, _ struct{}) bool { return which(m) })
	return nil
}
