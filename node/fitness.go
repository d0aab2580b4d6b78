package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pofresh/globalchannel/cluster"
	"github.com/pofresh/globalchannel/node/internal/disk"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

const (
	spaceInterval  = 5 * time.Second
	fitnessTimeout = 300 * time.Millisecond // of a question to another voter
	asideInterval  = time.Second            // between two tries to be rid of leadership
)

// fitness is whether this node should lead. A store that has failed, or stalls, takes
// no part in Raft at all; for all other reasons the node votes and stores as ever, and
// leads only while nobody else can, see consensus.stands.
type fitness struct {
	guard  *disk.Guard
	halted func() error

	differs atomic.Pointer[string] // in which way the state is another one than a majority of voters holds; nil: it is not known to be

	mu   sync.Mutex // guards full
	full string     // what is wrong with the room on the disk; "" if nothing is
}

// problem is in words; "" if this node should lead.
func (f *fitness) problem() string {
	var problems []string
	if halted := f.halted(); halted != nil {
		problems = append(problems, errors.Join(ErrHalted, halted).Error())
	}
	if err := f.distrusted(); err != nil {
		problems = append(problems, err.Error())
	}
	if err := f.guard.Err(); err != nil {
		problems = append(problems, err.Error())
	}
	return strings.Join(append(problems, f.doubts()...), "; ")
}

// distrust says in words that this node's state is wrong; "": it is not, or not any more.
func (f *fitness) distrust(why string) {
	if why == "" {
		f.differs.Store(nil)
		return
	}
	f.differs.Store(&why)
}

// distrusted is why nobody should be told what this node's state says.
func (f *fitness) distrusted() error {
	if why := f.differs.Load(); why != nil {
		return fmt.Errorf("%w: %s", ErrHalted, *why)
	}
	return nil
}

// doubts are the reasons that are no failure.
func (f *fitness) doubts() []string {
	var doubts []string
	if doubt := f.guard.Doubt(); doubt != nil {
		doubts = append(doubts, doubt.Error())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full != "" {
		doubts = append(doubts, f.full)
	}
	return doubts
}

// watchSpace looks at the room on the disk until ctx ends. What a file system that
// hangs keeps is left behind: the guard will hear of it.
func (f *fitness) watchSpace(ctx context.Context, store *disk.Store, changed func(problem string)) {
	level := store.Level()
	for {
		looked := make(chan string, 1)
		go func() {
			space, err := store.Space()
			if err != nil { // unknown is not full
				looked <- ""
				return
			}
			looked <- level.Judge(space)
		}()
		select {
		case now := <-looked:
			f.mu.Lock()
			was := f.full
			f.full = now
			f.mu.Unlock()
			if (was == "") != (now == "") {
				changed(now)
			}
		case <-ctx.Done():
			return
		}
		wait(ctx, spaceInterval)
		if ctx.Err() != nil {
			return
		}
	}
}

// mayLead reports whether this node should lead, and if not why.
func (n *Node) mayLead() (ok bool, reason string) {
	reason = n.consensus.fitness.problem()
	return reason == "", reason
}

// watchSpace logs what the operator should hear.
func (n *Node) watchSpace() {
	n.consensus.fitness.watchSpace(n.ctx, n.store, func(problem string) {
		if problem != "" {
			n.log.Warn("should not lead", "problem", problem)
		} else {
			n.log.Info("there is room on the disk again")
		}
	})
}

// stepAside gives leadership to a voter that may lead, as often as this node has it
// and should not. If there is none it goes on leading.
func (n *Node) stepAside() {
	for {
		leads, changed := n.consensus.leadership()
		if !leads {
			select {
			case <-changed:
				continue
			case <-n.ctx.Done():
				return
			}
		}
		if ok, reason := n.mayLead(); !ok {
			n.yield(reason)
		}
		if wait(n.ctx, asideInterval); n.ctx.Err() != nil {
			return
		}
	}
}

func (n *Node) yield(reason string) {
	successors := n.successors(n.ctx)
	if n.consensus.fitness.distrusted() != nil {
		successors = n.auditor.amongHolders(successors)
	}
	if len(successors) == 0 || !n.consensus.mayHandOver() {
		return
	}
	n.log.Warn("handing leadership over", "reason", reason)
	bounded(n.ctx, configTimeout, func(ctx context.Context) {
		if err := n.consensus.offer(ctx, successors); err != nil && ctx.Err() == nil {
			n.log.Warn("leadership not handed over", "err", err)
		}
	})
}

// successors are the other voters that say they may lead, the furthest first.
func (n *Node) successors(ctx context.Context) []cluster.Server {
	servers, err := n.consensus.Configuration()
	if err != nil {
		return nil
	}
	servers = slices.DeleteFunc(servers, func(s cluster.Server) bool { return !s.Voter || s.NodeID == n.nodeID })
	answers := n.ask(ctx, servers)
	fit := slices.DeleteFunc(servers, func(s cluster.Server) bool { return !answers[s.NodeID].GetMayLead() })
	slices.SortFunc(fit, func(a, b cluster.Server) int {
		return cmp.Compare(answers[b.NodeID].GetLastIndex(), answers[a.NodeID].GetLastIndex())
	})
	return fit
}

// ask pings servers, all at once and not for long. Who does not answer, or is another
// node, is not in the result.
func (n *Node) ask(ctx context.Context, servers []cluster.Server) map[string]*peerpb.PingResponse {
	ctx, cancel := context.WithTimeout(ctx, fitnessTimeout)
	defer cancel()
	var asked sync.WaitGroup
	var mu sync.Mutex // guards answers
	answers := make(map[string]*peerpb.PingResponse)
	for _, s := range servers {
		if addr, ok := n.cluster.AddrOf(s.NodeID); ok {
			s.Addr = addr
		}
		asked.Go(func() {
			resp, err := peers{n.port}.ping(ctx, s.Addr, "")
			if err != nil || resp.GetNodeId() != s.NodeID {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			answers[s.NodeID] = resp
		})
	}
	asked.Wait()
	return answers
}
