package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/pofresh/globalchannel/node"
)

// NewChildCommand is what the demo starts this executable as, once per server.
func NewChildCommand() *cobra.Command {
	return &cobra.Command{
		Use:    childCommand,
		Short:  "One server of the demo; started by it",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Ctrl-C reaches every process of the terminal. When a child ends is for
			// the demo to say, by closing its stdin.
			signal.Ignore(os.Interrupt, syscall.SIGHUP)
			return runChild(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
}

const (
	watchEvery  = 20 * time.Millisecond // how soon a new leader is noticed
	pushesEvery = 10                    // watches between two sums of pushes
)

var errStdinEnded = errors.New("stdin ended")

// runChild runs one server until in ends, which is the ordinary end and no error.
// The node is not closed then: the whole cluster is about to be thrown away, and
// goodbyes that wait for a quorum which is ending too would only take time. For
// the same reason nobody waits for its goroutines: the process ends with them.
func runChild(ctx context.Context, in io.Reader, out, log io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work, orders := make(chan assignment, 1), make(chan order, 4)
	go func() { cancel(readOrders(ctx, in, work, orders)) }()

	select {
	case a := <-work:
		o := newOutlet(out)
		err := serve(ctx, a, orders, o, log)
		if err == nil || errors.Is(context.Cause(ctx), errStdinEnded) {
			return nil
		}
		// The demo reads the reason from its pipe, and the log has it too.
		_ = o.send(ctx, report{Failed: err.Error()})
		return errors.Join(err, o.Close())
	case <-ctx.Done():
		if cause := context.Cause(ctx); !errors.Is(cause, errStdinEnded) {
			return cause
		}
		return nil
	}
}

// readOrders passes on the assignment and then orders until stdin ends. It always
// returns an error: the cause of the child's end.
func readOrders(ctx context.Context, in io.Reader, work chan<- assignment, orders chan<- order) error {
	type line struct {
		assignment
		order
	}
	first := true
	err := readLines(in, func(l line) error {
		if first {
			first = false
			work <- l.assignment
			return nil
		}
		select {
		case orders <- l.order:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	if err == nil {
		err = errStdinEnded
	}
	return err
}

// serve is one server's life: start, register, let the players in, follow orders.
func serve(ctx context.Context, a assignment, orders <-chan order, out *outlet, log io.Writer) error {
	began := time.Now()
	offset := began.Sub(a.Epoch) // one comparison of wall clocks; from here on the monotonic one
	clock := func() time.Duration { return offset + time.Since(began) }

	secret, err := os.ReadFile(a.SecretFile)
	if err != nil {
		return fmt.Errorf("read secret: %w", err)
	}
	here, got := newSessions(), new(receipts)
	n, err := node.Start(ctx, node.Config{
		SID: a.SID, SType: a.SType, Listen: a.Listen, Join: a.Join, Expect: a.Expect, DataDir: a.DataDir,
		Cluster: node.Settings{ReapAfter: reapAfter}, Secret: secret, OnPush: got.wrap(here.onPush), Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	c := &crowd{sid: a.SID, server: n, sessions: here, receipts: got, out: out, gate: newGate(), clock: clock}
	c.pace.Store(int64(briskly))
	if a.Gentle {
		c.pace.Store(int64(gently))
	}
	if err := out.send(ctx, report{Up: &upReport{NodeID: n.Self().NodeID}}); err != nil {
		return err
	}
	go watch(ctx, n, &c.sums, got, out)
	if err := n.Ready(ctx); err != nil {
		return fmt.Errorf("wait until registered: %w", err)
	}
	if err := out.send(ctx, report{Ready: true}); err != nil {
		return err
	}
	c.start(ctx, a.Crowd, a.Seed)
	playing, end := context.WithCancel(ctx)
	defer end()
	c.endMatch = end
	if !a.Gentle { // the check is over
		m := &match{
			sid: a.SID, server: n, lives: func() map[string]uint64 { return livesOf(n) }, plan: a.Crowd,
			gate: c.gate, out: out, clock: clock, rnd: rand.New(rand.NewPCG(a.Seed, 0)),
		}
		c.group.Go(func() { m.run(playing) })
	}
	return c.obey(ctx, orders, n)
}

// livesOf are the servers' lives that a node knows.
func livesOf(n *node.Node) map[string]uint64 {
	lives := make(map[string]uint64)
	for _, s := range n.Servers() {
		lives[s.SID] = s.Epoch
	}
	return lives
}

// obey follows orders until ctx ends or the node does.
func (c *crowd) obey(ctx context.Context, orders <-chan order, n *node.Node) error {
	for {
		select {
		case o := <-orders:
			switch o.Do {
			case orderPause:
				select {
				case <-c.gate.close():
				case <-ctx.Done():
					return context.Cause(ctx)
				}
				c.endMatch() // for good: what it does after the check nobody looks at
				sums := c.sums.get()
				for _, r := range []report{{Pushes: &sums}, {Settled: &settled{}}} {
					if err := c.out.send(ctx, r); err != nil {
						return err
					}
				}
			case orderCount:
				if err := c.receipts.report(ctx, c.out); err != nil {
					return err
				}
				if err := c.out.send(ctx, report{Counted: true}); err != nil {
					return err
				}
			case orderGentle:
				c.pace.Store(int64(gently))
				c.gate.open()
			default:
				return fmt.Errorf("unknown order %q", o.Do)
			}
		case <-n.Done():
			return fmt.Errorf("node ended: %w", errors.Join(errors.New("done"), n.Err()))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// watch reports who leads, what the handler was handed, of which servers players are shown and what is wrong
// whenever it changes, and the sums of pushes now and then. The node offers no event for the former. A leader is
// believed when two looks agree: leader and term are not read at one instant.
func watch(ctx context.Context, n *node.Node, sums *pushTally, got *receipts, out *outlet) {
	var seen, told leaderReport
	var problem string
	var pushed pushSums
	var shown []string
	for i := 1; pause(ctx, watchEvery); i++ {
		st := n.Status()
		now := leaderReport{SID: st.Leader, NodeID: st.LeaderNodeID, Term: st.Term}
		known := now.SID != "" || now.NodeID != ""
		if known && now == seen && now != told {
			told = now
			_ = out.send(ctx, report{Leader: &now}) // fails only when nobody reads any more
		}
		seen = now
		_ = got.report(ctx, out)
		if st.Problem != problem {
			problem = st.Problem
			_ = out.send(ctx, report{Problem: &st.Problem})
		}
		if shows := showing(ctx, n); !slices.Equal(shows, shown) {
			shown = shows
			_ = out.send(ctx, report{Shows: &shows})
		}
		if s := sums.get(); i%pushesEvery == 0 && s != pushed {
			pushed = s
			_ = out.send(ctx, report{Pushes: &s})
		}
	}
}

// showing are the sids of which the node's replica has players in the channel that
// all are in.
func showing(ctx context.Context, n *node.Node) []string {
	sids := []string{}
	members, err := n.Members(ctx, "world", node.Stale())
	if err != nil {
		return sids
	}
	for m := range members {
		if !slices.Contains(sids, m.SID) {
			sids = append(sids, m.SID)
		}
	}
	slices.Sort(sids)
	return sids
}
