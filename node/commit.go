package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// committer begins and ends lives, on the leader. On a node that does not lead, Raft
// refuses and the answer is NOT_SUBMITTED.
type committer struct {
	consensus *consensus
	replica   *fsm.Replica
	probe     func(ctx context.Context, s fsm.Server) lifeSign
	hold      func(ctx context.Context, sid string) (release func()) // ends what is done about the sid's former life

	caughtUp atomic.Uint64 // the term in which this node has applied all of the terms before
}

// catchUp applies, once in a term, all that earlier leaders committed. At a level that
// a new leader has not heard of yet, the end of a life would be written as one that
// purges what is to be parked.
func (c *committer) catchUp(ctx context.Context) error {
	term := c.consensus.term()
	if c.caughtUp.Load() == term {
		return nil
	}
	_, d, err := c.proposeBytes(ctx, fsm.AppendBatches(nil, c.replica.Level()))
	if d != peerpb.Disposition_DISPOSITION_APPLIED {
		return fmt.Errorf("catch up with the terms before: %w", err)
	}
	c.caughtUp.Store(term)
	return nil
}

// register commits a life, having looked whether the sid's old life is over.
func (c *committer) register(ctx context.Context, up *fsmpb.ServerUp) *peerpb.RegisterResponse {
	if err := c.catchUp(ctx); err != nil {
		return &peerpb.RegisterResponse{Disposition: peerpb.Disposition_DISPOSITION_NOT_SUBMITTED, Reason: err.Error()}
	}
	defer c.hold(ctx, up.GetSid())()
	if c.replica.Level() < parkingLevel {
		up.Resume = nil // not everybody knows it, and nothing is parked
	}
	var old fsm.Server
	c.replica.Read(func(s fsm.Reads) { old, _ = s.Server(up.GetSid()) })
	// The replica of a new leader may not know the latest life yet; then the state
	// refuses and names it, and the second round looks at that one.
	for range 3 {
		if old.Up && old.NodeID != up.GetNodeId() && old.Incarnation != up.GetIncarnation() {
			switch c.probe(ctx, old) {
			case lifeOver:
				up.Ends = old.Epoch
			case lifeAnswers:
				return &peerpb.RegisterResponse{
					Disposition: peerpb.Disposition_DISPOSITION_REFUSED, Result: uint32(fsm.UpInUse),
					Reason: fmt.Sprintf("sid %q is in use by a live server at %s: give each server its own sid", old.SID, old.Addr),
				}
			case lifeSilent:
				return &peerpb.RegisterResponse{
					Disposition: peerpb.Disposition_DISPOSITION_NOT_SUBMITTED, Result: uint32(fsm.UpInUse),
					Reason: fmt.Sprintf("sid %q is held by a server at %s that does not answer", old.SID, old.Addr),
				}
			}
		}
		result, disp, err := c.propose(ctx, &fsmpb.Entry{Command: &fsmpb.Entry_ServerUp{ServerUp: up}})
		if disp != peerpb.Disposition_DISPOSITION_APPLIED {
			return &peerpb.RegisterResponse{Disposition: disp, Reason: err.Error()}
		}
		switch result.Up.Outcome {
		case fsm.UpInUse:
			old = result.Up.Server
			continue
		case fsm.UpInvalid:
			return &peerpb.RegisterResponse{
				Disposition: peerpb.Disposition_DISPOSITION_REFUSED, Result: uint32(fsm.UpInvalid),
				Reason: fmt.Sprintf("the state refuses the registration of %q as malformed", up.GetSid()),
			}
		case fsm.UpLimit:
			return &peerpb.RegisterResponse{
				Disposition: peerpb.Disposition_DISPOSITION_REFUSED, Result: uint32(fsm.UpLimit),
				Reason: fmt.Sprintf("no room for %q: as many servers are up as the cluster's settings allow", up.GetSid()),
			}
		}
		predecessor, err := proto.Marshal(result.Up.Predecessor)
		if err != nil {
			return &peerpb.RegisterResponse{Disposition: peerpb.Disposition_DISPOSITION_UNKNOWN, Reason: err.Error()}
		}
		return &peerpb.RegisterResponse{
			Disposition: disp, Result: uint32(result.Up.Outcome), Epoch: result.Up.Server.Epoch,
			Index: result.Index, LastNumber: result.Up.LastNumber, Predecessor: predecessor, Level: c.replica.Level(),
		}
	}
	return &peerpb.RegisterResponse{
		Disposition: peerpb.Disposition_DISPOSITION_NOT_SUBMITTED, Result: uint32(fsm.UpInUse),
		Reason: fmt.Sprintf("several servers register as %q at once", up.GetSid()),
	}
}

// unregister ends a life, if it is still the current one and where it was.
func (c *committer) unregister(ctx context.Context, req *peerpb.UnregisterRequest) *peerpb.UnregisterResponse {
	if c.catchUp(ctx) != nil {
		return &peerpb.UnregisterResponse{Disposition: peerpb.Disposition_DISPOSITION_NOT_SUBMITTED}
	}
	down := &fsmpb.ServerDown{Sid: req.GetSid(), Epoch: req.GetEpoch(), ViaEpoch: req.GetViaEpoch()}
	result, disp, _ := c.propose(ctx, &fsmpb.Entry{Command: &fsmpb.Entry_ServerDown{ServerDown: down}})
	return &peerpb.UnregisterResponse{Disposition: disp, Index: result.Index}
}

// found writes the cluster id and settings as the first command of a cluster.
func (c *committer) found(ctx context.Context, clusterID string, settings []byte) error {
	s, err := decodeSettings(settings)
	if err != nil {
		return err
	}
	s = withoutLimits(s) // of the state: no binary can read them at the first level, see foundedLimits
	_, _, err = c.propose(ctx, &fsmpb.Entry{Command: &fsmpb.Entry_Found{Found: &fsmpb.Found{ClusterId: clusterID, Generation: 1, Settings: s}}})
	return err
}

func (c *committer) propose(ctx context.Context, e *fsmpb.Entry) (fsm.Result, peerpb.Disposition, error) {
	data, err := fsm.EncodeEntry(c.replica.Level(), e)
	if err != nil {
		return fsm.Result{}, peerpb.Disposition_DISPOSITION_NOT_SUBMITTED, err
	}
	return c.proposeBytes(ctx, data)
}

// proposeBytes commits an encoded entry, unless this node's state has halted: it could
// not tell what became of it, and the entry would be sent again for ever.
func (c *committer) proposeBytes(ctx context.Context, entry []byte) (fsm.Result, peerpb.Disposition, error) {
	if err := c.replica.Halted(); err != nil {
		return fsm.Result{}, peerpb.Disposition_DISPOSITION_NOT_SUBMITTED, fmt.Errorf("%w: %w", ErrHalted, err)
	}
	result, d, err := c.consensus.propose(ctx, entry)
	switch {
	case d == dispositionNotSubmitted:
		return result, peerpb.Disposition_DISPOSITION_NOT_SUBMITTED, err
	case d == dispositionUnknown:
		return result, peerpb.Disposition_DISPOSITION_UNKNOWN, err
	case result.Index == 0:
		return result, peerpb.Disposition_DISPOSITION_UNKNOWN, errors.New("the state machine gave no result")
	case result.Err != nil:
		// This node's state has halted; a newer binary may have applied the entry.
		return result, peerpb.Disposition_DISPOSITION_UNKNOWN, fmt.Errorf("%w: %w", ErrHalted, result.Err)
	}
	return result, peerpb.Disposition_DISPOSITION_APPLIED, nil
}

// lifeSign is what a probe found out about a life.
type lifeSign uint8

const (
	lifeAnswers lifeSign = iota // the very life answers
	lifeOver                    // its address refuses, or answers for another incarnation
	lifeSilent                  // nobody answers; it may be paused or cut off
)

const probeTimeout = time.Second

// prober asks a life's address for it.
type prober struct{ peers peers }

func (p prober) probe(ctx context.Context, s fsm.Server) lifeSign {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	resp, err := p.peers.ping(ctx, s.Addr, s.SID)
	switch {
	case err == nil && resp.GetIncarnation() == s.Incarnation:
		return lifeAnswers
	case err == nil, refusedConnection(err):
		return lifeOver
	default:
		return lifeSilent
	}
}

// refusedConnection reports whether nobody listens there. gRPC flattens the
// dialer's error into its status text, so the text of ECONNREFUSED is what is
// left to look for.
func refusedConnection(err error) bool {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return true
	}
	return status.Code(err) == codes.Unavailable && strings.Contains(status.Convert(err).Message(), syscall.ECONNREFUSED.Error())
}
