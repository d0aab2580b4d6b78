package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/pofresh/globalchannel/fsm"
)

// writeAnswer is what became of one operation.
type writeAnswer struct {
	index   uint64
	changed bool
}

// write takes one operation from validation to its answer.
func (n *Node) write(ctx context.Context, op Op) (_ writeAnswer, err error) {
	defer func() { n.meters.wrote(err) }()
	if err := checkOp(op); err != nil {
		return writeAnswer{}, err
	}
	if n.managed != nil {
		return writeAnswer{}, n.managed.write(ctx, op)
	}
	var logged [1]fsm.Op
	a, err := n.submit(ctx, []Op{op}, logged[:])
	if err != nil {
		return writeAnswer{}, fmt.Errorf("%s: %w", doing(op), err)
	}
	return oneAnswer(a, logged[0])
}

// oneAnswer reads the answer to a group of one operation.
func oneAnswer(a answer, op fsm.Op) (writeAnswer, error) {
	if err := resultError(a.results[0], op); err != nil {
		return writeAnswer{}, err
	}
	return writeAnswer{index: a.index, changed: a.results[0] == fsm.OpChanged}, nil
}

// submit takes checked operations, which are committed as one group, to the
// state's answer. It fills in logged: what the log has of each, with the life that
// is meant.
func (n *Node) submit(ctx context.Context, ops []Op, logged []fsm.Op) (answer, error) {
	if err := n.usable(ctx); err != nil {
		return answer{}, err
	}
	t := targets{node: n}
	// Taken before the lives are looked up: what is said to be seen must not be
	// newer than what was looked at.
	seen := n.replica.Index()
	if !t.atOnce(ops, logged) {
		var cancel context.CancelFunc
		ctx, cancel = n.bounded(ctx) // for all of it, the wait for the answer too
		defer cancel()
		self, err := n.life.wait(ctx)
		if err != nil {
			return answer{}, n.notReady(err)
		}
		seen = n.replica.Index()
		if err := t.wait(ctx, self, ops, logged); err != nil {
			return answer{}, err
		}
	}
	a, err := n.outbox.do(ctx, seen, logged...)
	if err != nil {
		return answer{}, err
	}
	n.reader.wrote(a.index, logged...)
	return a, nil
}

// notReady gives a call that never got past registration its class.
func (n *Node) notReady(err error) error {
	if errors.Is(err, ErrRejected) {
		return err
	}
	var noLeader error
	if id, _ := n.consensus.Leader(); id == "" && !errors.Is(err, ErrClosed) {
		noLeader = ErrNoLeader
	}
	return notSent(noLeader, err)
}

// resultError turns the state's verdict on an operation into an error.
func resultError(code fsm.OpResult, op fsm.Op) error {
	switch code {
	case fsm.OpUnchanged, fsm.OpChanged:
		return nil
	case fsm.OpServerGone:
		return fmt.Errorf("%w: the life of %q that was meant (epoch %d) is over", ErrServerGone, op.SID, op.Epoch)
	case fsm.OpUnknownServer:
		return fmt.Errorf("%w: %q never registered (are uid and sid swapped?)", ErrUnknownServer, op.SID)
	case fsm.OpAborted:
		return ErrAborted
	case fsm.OpLimit:
		return fmt.Errorf("%w: the cluster's settings allow no more memberships, or no more channels", ErrLimit)
	case fsm.OpInvalid:
		if OpKind(op.Kind) == opPurge {
			return fmt.Errorf("%w: sid %q is of a registered server; its members go with its life", ErrInvalidArgument, op.SID)
		}
		return fmt.Errorf("%w: refused by the state", ErrInvalidArgument)
	case fsm.OpUnsupported:
		return ErrUnsupported
	}
	return fmt.Errorf("%w: result %d", ErrOutcomeUnknown, code)
}
