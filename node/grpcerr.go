package node

import (
	"context"
	"errors"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errorDomain marks the ErrorInfo of a status as ours.
const errorDomain = "globalchannel"

// wireErrors is the one table between our errors and gRPC's: an error keeps its
// identity over the wire.
var wireErrors = []struct {
	err    error
	reason string
	code   codes.Code
}{
	{ErrInvalidArgument, "INVALID_ARGUMENT", codes.InvalidArgument},
	{ErrServerGone, "SERVER_GONE", codes.FailedPrecondition},
	{ErrUnknownServer, "UNKNOWN_SERVER", codes.NotFound},
	{ErrFenced, "FENCED", codes.Aborted},
	{ErrAborted, "ABORTED", codes.Aborted},
	{ErrLimit, "LIMIT", codes.ResourceExhausted},
	{ErrUnsupported, "UNSUPPORTED", codes.Unimplemented},
	{ErrOverloaded, "OVERLOADED", codes.ResourceExhausted},
	{ErrReentrant, "REENTRANT", codes.FailedPrecondition},
	{ErrNoLeader, "NO_LEADER", codes.Unavailable},
	{ErrClosed, "CLOSED", codes.Unavailable},
	{ErrReplicaBehind, "REPLICA_BEHIND", codes.Unavailable},
	{ErrStale, "STALE", codes.Unavailable},
	{ErrHalted, "HALTED", codes.FailedPrecondition},
	{ErrRefused, "REFUSED", codes.FailedPrecondition},
	{ErrPushFailed, "PUSH_FAILED", codes.Unavailable},
	{context.DeadlineExceeded, "DEADLINE_EXCEEDED", codes.DeadlineExceeded},
	{context.Canceled, "CANCELED", codes.Canceled},
}

var wireClasses = []struct {
	err  error
	name string
}{
	{ErrRejected, "rejected"},
	{ErrNotSent, "not_sent"},
	{ErrOutcomeUnknown, "outcome_unknown"},
}

// toStatus turns an error of ours into a gRPC status error with its identity.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	// Only if it is a status itself: one that is wrapped inside, a peer's, says
	// nothing of our class.
	if _, ok := err.(interface{ GRPCStatus() *status.Status }); ok {
		return err
	}
	info := &errdetails.ErrorInfo{Domain: errorDomain, Metadata: map[string]string{}}
	for _, c := range wireClasses {
		if errors.Is(err, c.err) {
			info.Metadata["class"] = c.name
			break
		}
	}
	code := codes.Unknown
	for _, w := range wireErrors {
		if errors.Is(err, w.err) {
			info.Reason, code = w.reason, w.code
			break
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		info.Metadata["deadline"] = "exceeded"
	}
	st, detailErr := status.New(code, err.Error()).WithDetails(info)
	if detailErr != nil {
		return status.Error(code, err.Error())
	}
	return st.Err()
}

// FromStatus turns an error of the public service back into one that matches
// this package's errors. Others are returned as they are.
func FromStatus(err error) error {
	st, ok := status.FromError(err)
	if err == nil || !ok {
		return err
	}
	for _, d := range st.Details() {
		info, ok := d.(*errdetails.ErrorInfo)
		if !ok || info.GetDomain() != errorDomain {
			continue
		}
		e := &wireError{text: st.Message()}
		for _, c := range wireClasses {
			if info.GetMetadata()["class"] == c.name {
				e.is = append(e.is, c.err)
			}
		}
		for _, w := range wireErrors {
			if info.GetReason() == w.reason {
				e.is = append(e.is, w.err)
			}
		}
		if info.GetMetadata()["deadline"] != "" {
			e.is = append(e.is, context.DeadlineExceeded)
		}
		return e
	}
	return err
}

// wireError is an error that came over the wire.
type wireError struct {
	text string
	is   []error
}

func (e *wireError) Error() string   { return e.text }
func (e *wireError) Unwrap() []error { return e.is }
