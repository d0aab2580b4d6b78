package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
	"github.com/pofresh/globalchannel/transport/ports"
)

// Join starts one more server, which finds the cluster through those that founded it, and
// does not wait for it. It is a guest: not among Servers, and so not in Settle, Watch and
// what else asks all of them; faults and Close know it. No founder has it in its list.
func (c *Cluster) Join(spec Spec) (*Server, error) {
	if spec.Founder || c.Server(spec.SID) != nil {
		return nil, fmt.Errorf("%s cannot join: it founds the cluster, or is there already", spec.SID)
	}
	s := &Server{Spec: spec, Dir: dataDir(c.dir, spec.SID), Log: newOutput(), cluster: c}
	if err := c.house(s); err != nil {
		return nil, fmt.Errorf("a place for %s: %w", spec.SID, errors.Join(err, c.evict(s)))
	}
	c.guests = append(c.guests, s)
	s.note("joins")
	return s, s.Start()
}

// house gives a guest an address, and a disk where the others have such.
func (c *Cluster) house(s *Server) error {
	if c.network == nil {
		addrs, err := ports.Free(1)
		if err != nil {
			return err
		}
		s.Addr = addrs[0]
	} else {
		addr, err := c.network.Attach(s.SID)
		if err != nil {
			return err
		}
		s.Addr = onNetwork(addr)
	}
	if !c.Spoilable() {
		return nil
	}
	return c.disks.mount(s)
}

// evict takes what house gave, and the data directory with all that is in it.
func (c *Cluster) evict(s *Server) error {
	err := c.disks.unmount(s)
	if c.network != nil && s.Addr != "" {
		err = errors.Join(err, c.network.Detach(s.SID))
	}
	return errors.Join(err, os.RemoveAll(s.Dir))
}

// Decommission has a guest leave for good. When it returns without an error its process
// has ended as it should, and all that it had is gone but for its log.
func (c *Cluster) Decommission(ctx context.Context, s *Server) error {
	if !slices.Contains(c.guests, s) {
		return fmt.Errorf("%s is no guest", s.SID)
	}
	client, err := s.Client()
	if err != nil {
		return err
	}
	s.note("leaves for good")
	if _, err := client.Decommission(ctx, &pb.DecommissionRequest{Sid: s.SID}); err != nil {
		return fmt.Errorf("decommission %s: %w", s.SID, err)
	}
	// The answer says that there is no way back, the exit code how it went.
	code, err := s.Ends(ctx)
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("%s ended with exit code %d after it was decommissioned; its log ends with:\n%s", s.SID, code, s.Log.Tail(15))
	}
	return c.bury(s)
}

// bury takes all of a guest whose process has ended, and keeps its log.
func (c *Cluster) bury(s *Server) error {
	c.guests = slices.DeleteFunc(c.guests, func(g *Server) bool { return g == s })
	c.left = append(c.left, s)
	return errors.Join(s.close(), c.evict(s))
}

// everybody is all there are and were.
func (c *Cluster) everybody() []*Server { return slices.Concat(c.Servers, c.guests, c.left) }
