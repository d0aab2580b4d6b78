package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/fsm"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// managed are the channels of a node with a ChannelManager. It checks what the manager
// is asked and what it answers, and is as bounded as the manager may not be.
type managed struct {
	node    *Node
	manager ChannelManager
	purge   SIDPurger // nil: it has none
	calls   managerCalls

	mu      sync.Mutex // guards all below
	started bool       // Start returned nil, and nobody has called Stop
	late    bool       // node.Start does not wait for that any more
}

// newManaged returns nil where there is no manager.
func newManaged(n *Node) *managed {
	if n.cfg.ChannelManager == nil {
		return nil
	}
	m := &managed{node: n, manager: n.cfg.ChannelManager}
	m.purge, _ = m.manager.(SIDPurger)
	m.calls.failed = func(method string, err error, stack string) {
		n.log.Error("a method of the channel manager did not return", "method", method, "err", err, "stack", stack)
	}
	return m
}

// start is Start's part.
func (m *managed) start(ctx context.Context) error {
	if m == nil {
		return nil
	}
	ctx, cancel := m.node.bounded(ctx)
	defer cancel()
	c, err := m.calls.begin(ctx, "Start", func(ctx context.Context) error {
		err := m.manager.Start(ctx)
		if err == nil && !m.keep() { // somebody has to stop it
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), managerStopTime)
			defer cancel()
			err = m.manager.Stop(ctx)
		}
		return err
	})
	if err != nil {
		return err
	}
	err = c.wait(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.started {
		return nil
	}
	m.late = true
	return err
}

// keep notes that Start returned nil; false: nobody waits for it.
func (m *managed) keep() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.started = !m.late
	return m.started
}

const (
	managerStopTime = 3 * time.Second // of Close, for all of stop
	managerIdleTime = time.Second     // of that, for calls under way, whose contexts have ended
)

// stop is Close's part, after all that makes calls, in the background. The manager has
// little to do with what Close does besides, and may need its time.
func (m *managed) stop(ctx context.Context) (result func() error) {
	if m == nil {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, managerStopTime)
		defer cancel()
		bounded(ctx, managerIdleTime, m.calls.end)
		m.mu.Lock()
		started := m.started
		m.started = false
		m.mu.Unlock()
		if !started {
			done <- nil
			return
		}
		done <- m.calls.last(ctx, "Stop", m.manager.Stop).wait(ctx)
	}()
	return func() error { return <-done }
}

// unsupportedManaged is the answer to what a ChannelManager cannot be asked.
func unsupportedManaged(what string) error {
	return fmt.Errorf("%w: %s with a ChannelManager", ErrUnsupported, what)
}

// write takes a checked operation to the manager.
func (m *managed) write(ctx context.Context, op Op) error {
	method, f := m.method(op)
	switch {
	case f == nil:
		return fmt.Errorf("%s: %w", doing(op), unsupportedManaged("this"))
	case op.Session != 0 || op.Epoch != 0:
		return fmt.Errorf("%s: %w", doing(op), unsupportedManaged("Session or Epoch"))
	}
	ctx, cancel := m.node.bounded(ctx)
	defer cancel()
	if err := m.admit(ctx); err != nil {
		return err
	}
	if err := m.change(ctx, method, f); err != nil {
		return fmt.Errorf("%s: %w", doing(op), err)
	}
	return nil
}

// method is what an operation is to the manager; nil if it is nothing.
func (m *managed) method(op Op) (string, func(context.Context) error) {
	switch op.Kind {
	case OpAdd:
		return "Add", func(ctx context.Context) error { return m.manager.Add(ctx, op.Name, op.UID, op.SID) }
	case OpLeave:
		return "Leave", func(ctx context.Context) error { return m.manager.Leave(ctx, op.Name, op.UID, op.SID) }
	case OpDestroy:
		return "DestroyChannel", func(ctx context.Context) error { return m.manager.DestroyChannel(ctx, op.Name) }
	case opDestroyAll:
		return "Clean", m.manager.Clean
	}
	return "", nil
}

// admit waits until this server is registered, and refuses if it has ended.
func (m *managed) admit(ctx context.Context) error {
	if err := m.node.usable(ctx); err != nil {
		return err
	}
	if _, err := m.node.life.wait(ctx); err != nil {
		return m.node.notReady(err)
	}
	if err := m.node.failure(); err != nil {
		if errors.Is(err, ErrRejected) {
			return err
		}
		return notSent(err)
	}
	return nil
}

// change calls a method that writes.
func (m *managed) change(ctx context.Context, method string, f func(context.Context) error) error {
	c, err := m.calls.begin(ctx, method, f)
	if err != nil {
		return notSent(err)
	}
	if err := c.wait(ctx); err != nil {
		return outcomeOf(ctx, err)
	}
	return nil
}

// outcomeOf gives a manager's error exactly one class: its own, if it has one.
func outcomeOf(ctx context.Context, err error) error {
	var classes int
	for _, c := range wireClasses {
		if errors.Is(err, c.err) {
			classes++
		}
	}
	switch {
	case classes == 1:
		return err
	case classes > 1:
		return outcomeUnknown(errors.New(err.Error()))
	}
	return outcomeUnknown(blaming(ctx, err))
}

// blaming adds to a manager's error that the call's time was up. Where that was this
// node's doing, the caller's context has not ended, and nothing may say so.
func blaming(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	why := ended(ctx)
	switch {
	case why == ErrClosed:
		return fmt.Errorf("%w: %v", ErrClosed, err)
	case errors.Is(err, ctx.Err()):
		return err
	}
	return fmt.Errorf("%w (%w)", err, why)
}

// membersBySID is the call.
func (m *managed) membersBySID(ctx context.Context, name, sid string, o []ReadOption) ([]string, error) {
	ctx, cancel := m.node.bounded(ctx)
	defer cancel()
	if err := m.mayRead(ctx, o); err != nil {
		return nil, err
	}
	return m.ask(ctx, name, sid)
}

// membersByType is the call MembersByChannelName. The servers are asked side by side.
func (m *managed) membersByType(ctx context.Context, stype, name string, o []ReadOption) ([]string, error) {
	ctx, cancel := m.node.bounded(ctx)
	defer cancel()
	if err := m.mayRead(ctx, o); err != nil {
		return nil, err
	}
	servers, _, err := m.servers(ctx, stype)
	if err != nil {
		return nil, err
	}
	var uids []string
	for _, a := range m.askAll(ctx, name, servers) {
		if a.err != nil {
			return nil, a.err
		}
		uids = append(uids, a.uids...)
	}
	return distinct(uids), nil
}

func (m *managed) mayRead(ctx context.Context, o []ReadOption) error {
	if len(o) > 0 {
		return unsupportedManaged("a read option")
	}
	return m.admit(ctx)
}

// servers are those of a type that are up, as this node's replica has them, and its index.
func (m *managed) servers(ctx context.Context, stype string) (servers []fsm.Server, index uint64, err error) {
	err = m.node.reader.view(ctx, nil, func(s fsm.Reads) { index, servers = s.Index(), s.Servers() })
	return slices.DeleteFunc(servers, func(s fsm.Server) bool { return s.SType != stype }), index, err
}

// managedAnswer is who is in a channel on one server.
type managedAnswer struct {
	server fsm.Server
	uids   []string // each once
	err    error
}

// askAll asks for all servers at once; the answers are in their order.
func (m *managed) askAll(ctx context.Context, name string, servers []fsm.Server) []managedAnswer {
	answers := make([]managedAnswer, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() {
			uids, err := m.ask(ctx, name, s.SID)
			answers[i] = managedAnswer{server: s, uids: uids, err: err}
		})
	}
	wg.Wait()
	return answers
}

// ask gets a channel's members on one server, each once.
func (m *managed) ask(ctx context.Context, name, sid string) ([]string, error) {
	var uids []string
	c, err := m.calls.begin(ctx, "MembersBySID", func(ctx context.Context) error {
		list, err := m.manager.MembersBySID(ctx, name, sid)
		if err != nil {
			return err
		}
		for _, uid := range list {
			if err := checkUID(uid); err != nil {
				return fmt.Errorf("it answers what Add refuses: %v", err) // not the caller's argument
			}
		}
		uids = distinct(list)
		return nil
	})
	if err == nil {
		err = c.wait(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("members of %q on %q: %w", name, sid, blaming(ctx, err))
	}
	return uids, nil
}

// distinct sorts a list, in place, and gives each once.
func distinct(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// members answers the public service, which has one call for several questions.
func (m *managed) members(ctx context.Context, r *pb.MembersRequest) (out []*pb.Member, err error) {
	var uids []string
	switch {
	case r.GetSid() != "":
		uids, err = m.membersBySID(ctx, r.GetName(), r.GetSid(), optionsOf(r))
	case r.GetStype() != "":
		uids, err = m.membersByType(ctx, r.GetStype(), r.GetName(), optionsOf(r))
	default:
		err = unsupportedManaged("members of all types")
	}
	for _, uid := range uids {
		out = append(out, &pb.Member{Uid: uid, Sid: r.GetSid()})
	}
	return out, err
}

// cleanOnStartUp cleans if no other server is up. Nothing stops another one from
// registering meanwhile, unlike in the replicated state.
func (m *managed) cleanOnStartUp(ctx context.Context) {
	ctx, cancel := m.node.bounded(ctx)
	defer cancel()
	others, err := m.othersUp(ctx)
	if err == nil && others {
		m.node.log.Warn("CleanOnStartUp: nothing destroyed, because other servers are up")
		return
	}
	if err == nil {
		err = m.change(ctx, "Clean", m.manager.Clean)
	}
	if err != nil {
		m.node.log.Warn("CleanOnStartUp failed", "err", err)
		return
	}
	m.node.log.Info("CleanOnStartUp: all channels destroyed")
}

// othersUp asks the leader: the replica may not show yet who registered before.
func (m *managed) othersUp(ctx context.Context) (up bool, err error) {
	if err := m.node.reader.renew(ctx, time.Now()); err != nil {
		return false, err
	}
	self := m.node.cfg.SID
	m.node.replica.Read(func(s fsm.Reads) {
		up = slices.ContainsFunc(s.Servers(), func(o fsm.Server) bool { return o.SID != self && o.Via != self })
	})
	return up, nil
}
