package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/switchnet"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// Options of a cluster.
type Options struct {
	Dir     string            // for data directories and the secret; the caller removes it
	Secret  string            // "": plain
	Servers []Spec            // all get the same list to join
	Flags   []string          // more of them, for every agent
	History *history.Recorder // may be nil
	Disks   bool              // that can be spoiled; see faultfs.Able
	Env     []string          // more of it, for every agent
	Often   bool              // the binary and Env make servers take snapshots all the time
	Seed    uint64            // what survives power cuts, and where damage is, follows from it

	// Network has a machine for each server, named by its sid; nil: all are on
	// loopback. The caller closes it, after the cluster.
	Network *switchnet.Network
}

// Cluster is a set of servers on loopback, or each on a machine of its own.
type Cluster struct {
	Servers []*Server // those it was made of; the list never changes

	guests []*Server // that joined since, and are there
	left   []*Server // that were guests, for their logs

	binary     Binary
	history    *history.Recorder
	network    *switchnet.Network
	dir        string
	env        []string
	often      bool
	flags      []string
	addrs      []string
	founders   int
	secret     []byte
	secretFile string
	disks      disks
}

// NewCluster finds addresses and writes the secret; it starts nothing.
func NewCluster(b Binary, o Options) (*Cluster, error) {
	addrs, err := addresses(o)
	if err != nil {
		return nil, err
	}
	c := &Cluster{binary: b, history: o.History, network: o.Network, dir: o.Dir, env: o.Env, often: o.Often, flags: o.Flags, addrs: addrs}
	if o.Secret != "" {
		c.secret, c.secretFile = []byte(o.Secret), filepath.Join(o.Dir, "secret")
		if err := os.WriteFile(c.secretFile, []byte(o.Secret+"\n"), 0o600); err != nil {
			return nil, fmt.Errorf("write secret: %w", err)
		}
	}
	for i, spec := range o.Servers {
		if spec.Founder {
			c.founders++
		}
		c.Servers = append(c.Servers, &Server{Spec: spec, Addr: addrs[i], Dir: dataDir(o.Dir, spec.SID), Log: newOutput(), cluster: c})
	}
	if o.Disks {
		if err := c.disks.lay(c.Servers, o.Seed); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// SecretFlag is what commands need to be let in; empty without a secret.
func (c *Cluster) SecretFlag() []string {
	if c.secretFile == "" {
		return nil
	}
	return []string{"--secret-file", c.secretFile}
}

// Start starts those servers, all if none is named, and waits until each is ready.
func (c *Cluster) Start(ctx context.Context, servers ...*Server) error {
	if len(servers) == 0 {
		servers = c.Servers
	}
	for _, s := range servers {
		if err := s.Start(); err != nil {
			return err
		}
	}
	return c.AllReady(ctx, servers)
}

// AllReady waits until each of those servers is ready.
func (c *Cluster) AllReady(ctx context.Context, servers []*Server) error {
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() { _, errs[i] = s.Ready(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Kill kills those servers at one moment and returns when they are gone.
func (c *Cluster) Kill(servers ...*Server) {
	var wg sync.WaitGroup
	for _, s := range servers {
		wg.Go(s.Kill)
	}
	wg.Wait()
}

// Server returns the one with that sid, a guest too, or nil.
func (c *Cluster) Server(sid string) *Server {
	for _, s := range slices.Concat(c.Servers, c.guests) {
		if s.SID == sid {
			return s
		}
	}
	return nil
}

// Settle waits until all servers have applied the same index. What each held on
// the way goes into the history; that equal indexes mean equal states is for the
// checker to say.
func (c *Cluster) Settle(ctx context.Context) (index uint64, err error) {
	err = Await(ctx, "replicas at one index", func(ctx context.Context) error {
		statuses := make([]*pb.StatusResponse, len(c.Servers))
		for i, s := range c.Servers {
			if statuses[i], err = c.Replica(ctx, s); err != nil {
				return err
			}
		}
		index = statuses[0].GetApplied()
		for i, st := range statuses {
			switch {
			case st.GetApplied() != index:
				return fmt.Errorf("%s has applied %d, %s %d", c.Servers[0].SID, index, c.Servers[i].SID, st.GetApplied())
			case st.GetStateHash() == "":
				return fmt.Errorf("%s tells no state hash", c.Servers[i].SID)
			}
		}
		return nil
	})
	return index, err
}

// Replica asks a server for the hash of its state, and notes it.
func (c *Cluster) Replica(ctx context.Context, s *Server) (*pb.StatusResponse, error) {
	st, err := s.Status(ctx, true)
	if err == nil {
		c.note(history.Event{F: history.Replica, Via: s.SID, Index: st.GetApplied(), State: st.GetStateHash()})
	}
	return st, err
}

// Tails are the ends of all logs, for people.
func (c *Cluster) Tails(n int) string {
	text := ""
	for _, s := range c.everybody() {
		text += fmt.Sprintf("==== log of %s (%s), the last %d lines\n%s\n", s.SID, s.Addr, n, s.Log.Tail(n))
	}
	return text
}

// WriteLogs writes all logs into dir.
func (c *Cluster) WriteLogs(dir string) error {
	var errs []error
	for _, s := range c.everybody() {
		errs = append(errs, os.WriteFile(filepath.Join(dir, s.SID+".log"), []byte(s.Log.Tail(maxLines)+"\n"), 0o600))
	}
	return errors.Join(errs...)
}

// Close kills every process, paused ones too, and hangs up. Its error is what was
// wrong with the processes themselves.
func (c *Cluster) Close() error {
	var errs []error
	for _, s := range slices.Concat(c.Servers, c.guests) {
		errs = append(errs, s.close())
	}
	return errors.Join(append(errs, c.disks.close())...)
}

func (c *Cluster) note(e history.Event) {
	if c.history != nil {
		c.history.Note(e)
	}
}
