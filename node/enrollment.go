package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

const (
	registerTimeout  = 5 * time.Second
	registerPauseMin = 20 * time.Millisecond
	registerPauseMax = time.Second
)

// enrollment registers lives with the leader, this process's own and those of
// frontends attached to it.
type enrollment struct {
	route *leaderRoute
}

// register repeats a registration until it is answered for good. Repeating is
// safe: the same incarnation gets the stored result. say is told what it waits for;
// renew may change up before the sid's record is looked at again.
func (e *enrollment) register(ctx context.Context, up *fsmpb.ServerUp, say func(string), renew func() error) (*peerpb.RegisterResponse, error) {
	for pause := registerPauseMin; ; pause = min(2*pause, registerPauseMax) {
		_, changed := e.route.consensus.leadership()
		resp, err := e.attempt(ctx, up)
		switch {
		case err != nil:
			say("registration waits: " + err.Error())
		case resp.GetDisposition() == peerpb.Disposition_DISPOSITION_REFUSED && fsm.UpOutcome(resp.GetResult()) == fsm.UpLimit:
			return nil, fmt.Errorf("%w: %w: %s", ErrRefused, ErrLimit, resp.GetReason())
		case resp.GetDisposition() == peerpb.Disposition_DISPOSITION_REFUSED:
			return nil, fmt.Errorf("%w: %s", ErrRefused, resp.GetReason())
		case resp.GetDisposition() != peerpb.Disposition_DISPOSITION_APPLIED:
			say("registration waits: " + resp.GetReason())
		case fsm.UpOutcome(resp.GetResult()) == fsm.UpSuperseded:
			// The record changed after we looked. A dead process's late registration
			// ends here; we are alive, so we look again. If another live process has
			// taken the sid, the leader finds it and refuses.
			up.Seen = 0
			if err := renew(); err != nil {
				return nil, err
			}
			say("registration waits: the sid's record has just changed")
		default:
			say("")
			return resp, nil
		}
		e.route.pause(ctx, changed, pause)
		if ctx.Err() != nil {
			return nil, ended(ctx)
		}
	}
}

func (e *enrollment) attempt(ctx context.Context, up *fsmpb.ServerUp) (*peerpb.RegisterResponse, error) {
	leader, err := e.route.leader()
	if err != nil {
		return nil, err
	}
	ctx, cancel := e.route.follow(ctx, registerTimeout)
	defer cancel()
	// seen is read from the leader before the first sending and kept while the
	// same message is repeated.
	if up.Seen == 0 {
		pong, err := leader.Ping(ctx, &peerpb.PingRequest{})
		if err != nil {
			return nil, fmt.Errorf("ask the leader how far it is: %w", err)
		}
		if !pong.GetLeader() {
			return nil, ErrNoLeader
		}
		up.Seen = pong.GetApplied()
	}
	data, err := proto.Marshal(up)
	if err != nil {
		return nil, fmt.Errorf("encode registration: %w", err)
	}
	return leader.Register(ctx, &peerpb.RegisterRequest{ServerUp: data})
}

// nothingNew is the renew of a registration that stays as it is.
func nothingNew() error { return nil }

// end ends a life. epoch is 0 where the registration was never answered: it may
// have been committed all the same, and repeating it tells which life that was.
func (e *enrollment) end(ctx context.Context, up *fsmpb.ServerUp, epoch uint64) error {
	if epoch == 0 {
		if up.GetSeen() == 0 {
			return nil // never sent
		}
		resp, err := e.register(ctx, up, func(string) {}, nothingNew)
		if errors.Is(err, ErrRefused) {
			return nil
		}
		if err != nil {
			return err
		}
		epoch = resp.GetEpoch()
	}
	return e.unregister(ctx, &peerpb.UnregisterRequest{Sid: up.GetSid(), Epoch: epoch, ViaEpoch: up.GetViaEpoch()})
}

// unregister ends a life, repeating until the leader has answered or ctx ends.
func (e *enrollment) unregister(ctx context.Context, req *peerpb.UnregisterRequest) error {
	for pause := registerPauseMin; ; pause = min(2*pause, registerPauseMax) {
		_, changed := e.route.consensus.leadership()
		err := e.tryUnregister(ctx, req)
		if err == nil {
			return nil
		}
		e.route.pause(ctx, changed, pause)
		if ctx.Err() != nil {
			return fmt.Errorf("end the life of %s: %w", req.GetSid(), err)
		}
	}
}

func (e *enrollment) tryUnregister(ctx context.Context, req *peerpb.UnregisterRequest) error {
	leader, err := e.route.leader()
	if err != nil {
		return err
	}
	ctx, cancel := e.route.follow(ctx, registerTimeout)
	defer cancel()
	resp, err := leader.Unregister(ctx, req)
	if err != nil {
		return err
	}
	if resp.GetDisposition() != peerpb.Disposition_DISPOSITION_APPLIED {
		return fmt.Errorf("not committed: %s", resp.GetDisposition())
	}
	return nil
}
