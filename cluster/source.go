package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	askPatience = 2 * time.Second  // how long a pass waits for those it has asked
	askTimeout  = 10 * time.Second // when whoever was asked should have given up
	maxFound    = 256              // addresses that one source may give
	maxWords    = 200              // bytes of somebody else's words in a problem
)

// source is one way to learn addresses that may take its time: a name in DNS, a
// file, the host's callback. It is asked in a goroutine of its own, never twice at
// once, and what it does there (hang, panic, end the goroutine, answer nonsense)
// harms nobody else. An answer that comes late counts for the next pass.
type source struct {
	name string // for people
	ask  func(ctx context.Context) (addrs []string, err error)
	due  func() bool // nil: on each pass

	mu     sync.Mutex    // guards what follows
	asking chan struct{} // closed when the answer is there; nil: not being asked
	since  time.Time     // when it was asked last
	found  []string      // IP:PORT, the last that it gave
	err    error         // of the last answer
	heard  bool          // it has answered once, "nobody" included
}

var errNoAnswer = errors.New("gave no answer")

// start asks, unless that is under way or not due. The channel is closed with the
// answer; nil: there is nothing to wait for.
func (s *source) start(ctx context.Context) <-chan struct{} {
	if s.due != nil && !s.due() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asking != nil || ctx.Err() != nil {
		return nil
	}
	done := make(chan struct{})
	s.asking, s.since = done, time.Now()
	go func() {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		var addrs []string
		err := errNoAnswer // what remains if the goroutine is ended from within
		defer func() {
			if p := recover(); p != nil {
				addrs, err = nil, fmt.Errorf("panicked: %v", p)
			}
			s.note(addrs, err)
			close(done)
		}()
		addrs, err = s.ask(ctx)
	}()
	return done
}

// note keeps an answer. One that is only an error leaves the addresses of the one
// before: what DNS or the host knew a minute ago is worth a try.
func (s *source) note(addrs []string, err error) {
	addrs = sample(addrs, maxFound)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking, s.err = nil, err
	if err == nil || len(addrs) > 0 {
		s.found = addrs
	}
	if err == nil || len(addrs) > 0 || nobodyThere(err) {
		s.heard = true
	}
}

func (s *source) addresses() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.found...)
}

func (s *source) answered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard
}

// problem says in words what is wrong with it, "" if nothing.
func (s *source) problem() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if waited := time.Since(s.since); s.asking != nil && waited > askPatience {
		return fmt.Sprintf("%s has not answered for %v", s.name, waited.Round(time.Second))
	}
	if s.err != nil {
		return s.name + ": " + short(s.err.Error())
	}
	return ""
}

// drain waits until the question under way, whose context has ended, is over; for
// a while only, because a callback may never return.
func (s *source) drain(ctx context.Context) error {
	s.mu.Lock()
	asking := s.asking
	s.mu.Unlock()
	if asking == nil {
		return nil
	}
	select {
	case <-asking:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cluster: %s does not return", s.name)
	}
}

// sample chooses n at random: over many passes all have their turn.
func sample[T any](addrs []T, n int) []T {
	if len(addrs) <= n {
		return addrs
	}
	chosen := append([]T(nil), addrs...)
	rand.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	return chosen[:n]
}

// short is a foreign text that fits into a line.
func short(text string) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= maxWords {
		return text
	}
	cut := maxWords
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "..."
}
