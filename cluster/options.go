package cluster

import (
	"errors"
	"fmt"
)

// validate names the option and what would be right.
func (o Options) validate() error {
	switch {
	case o.Packets == nil, o.Streams == nil, o.Dial == nil:
		return errors.New("cluster: Packets, Streams and Dial are required")
	case o.Identity == nil, o.Consensus == nil, o.Peers == nil:
		return errors.New("cluster: Identity, Consensus and Peers are required")
	case o.State == nil, o.Timers == nil, o.Answer == nil:
		return errors.New("cluster: State, Timers and Answer are required")
	case o.Expect < 0 || o.Expect > maxExpect:
		return fmt.Errorf("cluster: Expect is %d, must be 0 to %d", o.Expect, maxExpect)
	case !validID(o.Self.SID):
		return fmt.Errorf("cluster: Self.SID %q must be 1 to %d bytes of UTF-8 without NUL", o.Self.SID, maxIDLength)
	}
	if _, _, ok := splitGossipName(gossipName(o.Self.NodeID, o.Self.Incarnation)); !ok {
		return fmt.Errorf("cluster: Self.NodeID %q and Self.Incarnation %q must be UUIDs", o.Self.NodeID, o.Self.Incarnation)
	}
	switch len(o.GossipKey) {
	case 0, 16, 24, 32:
	default:
		return fmt.Errorf("cluster: GossipKey has %d bytes, must have 16, 24 or 32", len(o.GossipKey))
	}
	if err := validAddr(o.Self.Addr); err != nil {
		return fmt.Errorf("cluster: Self.Addr: %w", err)
	}
	for _, s := range o.Seeds {
		if err := CheckSeed(s); err != nil {
			return fmt.Errorf("cluster: Seeds: %w", err)
		}
	}
	return nil
}

// closeSockets: Open has taken them over, whatever becomes of it.
func (o Options) closeSockets() error {
	var errs []error
	if o.Packets != nil {
		errs = append(errs, ignoreClosed(o.Packets.Close()))
	}
	if o.Streams != nil {
		errs = append(errs, ignoreClosed(o.Streams.Close()))
	}
	return errors.Join(errs...)
}
