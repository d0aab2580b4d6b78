package memnet

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Hosts talk while cables are cut and machines crash, for half a minute of fake time. Bytes come in order, nobody waits for
// ever (the bubble would deadlock), and in the end nothing is left.
func TestNet_SurvivesAStormOfFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		n.SetLatency(time.Millisecond)
		ips := []string{a, b, c}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		s := &storm{net: n, ips: ips, text: make([]byte, 2*window)}
		for i := range s.text {
			s.text[i] = byte(i % 251)
		}
		var wg sync.WaitGroup
		for i, ip := range ips {
			wg.Go(func() { s.serve(ctx, ip) })
			for j := range 4 {
				wg.Go(func() { s.talk(ctx, ip, rand.New(rand.NewPCG(uint64(i), uint64(j)))) })
			}
		}
		s.rage(ctx, rand.New(rand.NewPCG(1, 1)))
		wg.Wait()
		if s.passed == 0 || s.broken == 0 {
			t.Errorf("%d exchanges passed and %d broke: no storm", s.passed, s.broken)
		}
		if s.mixed > 0 {
			t.Errorf("%d exchanges came back altered", s.mixed)
		}
		closed(t, n)
	})
}

type storm struct {
	net  *Net
	ips  []string
	text []byte // what is sent begins like this

	mu                    sync.Mutex // guards the counts
	passed, broken, mixed int
}

// serve echoes on its host, and listens again after a crash.
func (s *storm) serve(ctx context.Context, ip string) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for ctx.Err() == nil {
		l, err := s.net.Host(ip).Listen("tcp", ":7400")
		if err != nil {
			return
		}
		stop := context.AfterFunc(ctx, func() { l.Close() })
		for {
			conn, err := l.Accept()
			if err != nil {
				break
			}
			wg.Go(func() {
				conn.SetDeadline(time.Now().Add(5 * time.Second))
				io.Copy(conn, conn)
				conn.Close()
			})
		}
		stop()
	}
}

// talk has one exchange of one or many packets after another, with random hosts.
func (s *storm) talk(ctx context.Context, ip string, r *rand.Rand) {
	for ctx.Err() == nil {
		short, cancel := context.WithTimeout(ctx, time.Second)
		conn, err := s.net.Host(ip).DialContext(short, "tcp", s.ips[r.IntN(len(s.ips))]+":7400")
		cancel()
		if err == nil {
			conn.SetDeadline(time.Now().Add(2 * time.Second))
			size := 1 + r.IntN(4096)
			if r.IntN(8) == 0 {
				size = len(s.text) // more than one window
			}
			err = s.exchange(conn, size)
			conn.Close()
		}
		s.count(err)
		pause(ctx, 200*time.Millisecond)
	}
}

func (s *storm) exchange(conn net.Conn, size int) error {
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(s.text[:size])
		sent <- err
	}()
	got := make([]byte, size)
	n, err := io.ReadFull(conn, got)
	if !bytes.Equal(got[:n], s.text[:n]) {
		s.mu.Lock()
		s.mixed++
		s.mu.Unlock()
	}
	conn.Close()
	<-sent
	return err
}

func (s *storm) count(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.passed++
	} else {
		s.broken++
	}
}

func (s *storm) rage(ctx context.Context, r *rand.Rand) {
	for ctx.Err() == nil {
		from, to := s.ips[r.IntN(len(s.ips))], s.ips[r.IntN(len(s.ips))]
		switch r.IntN(6) {
		case 0, 1:
			s.net.Cut(from, to)
		case 2:
			s.net.Heal(from, to)
		case 3:
			s.net.HealAll()
		case 4:
			s.net.Host(from).Crash()
		case 5:
			s.net.SetLatency(time.Duration(r.IntN(20)) * time.Millisecond)
		}
		pause(ctx, time.Duration(r.IntN(2000))*time.Millisecond)
	}
	s.net.HealAll()
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
