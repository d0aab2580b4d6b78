package node

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errorDomain marks the ErrorInfo of a status as ours.
const errorDomain = "globalchannel"

// opKey is the metadata key of the position of a group's refused operation.
const opKey = "op"

// wireErrors is the one table between our errors and gRPC's: an error keeps its
// identity over the wire. The first that matches names it.
var wireErrors = []struct {
	err    error
	reason string
	code   codes.Code
}{
	{ErrInvalidArgument, "INVALID_ARGUMENT", codes.InvalidArgument},
	{ErrServerGone, "SERVER_GONE", codes.FailedPrecondition},
	{ErrUnknownServer, "UNKNOWN_SERVER", codes.NotFound},
	{ErrFenced, "FENCED", codes.Aborted},
	{ErrLimit, "LIMIT", codes.ResourceExhausted},
	{ErrUnsupported, "UNSUPPORTED", codes.Unimplemented},
	{ErrAborted, "ABORTED", codes.Aborted}, // after what an operation of a group can be refused for: an OpError is both
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
	var refused *OpError
	if errors.As(err, &refused) {
		info.Metadata[opKey] = strconv.Itoa(refused.I)
	}
	text := strings.ToValidUTF8(err.Error(), "\uFFFD") // else no detail would arrive, and a user's error may have any
	st, detailErr := status.New(code, text).WithDetails(info)
	if detailErr != nil {
		return status.Error(code, text)
	}
	return st.Err()
}

// FromStatus turns the error of a call of the public service back into one that
// matches this package's errors: the class, the occasion, the context's error, and
// an *OpError (without its Op) for a refused Apply.
//
// The service itself may never have answered. Then the error is gRPC's own, which it
// still matches, and has a class all the same, which only that of a write says
// anything: ErrRejected where gRPC refuses a call before anybody acts on it
// (Unimplemented, InvalidArgument, Unauthenticated, PermissionDenied), else
// ErrOutcomeUnknown, with context.DeadlineExceeded or context.Canceled where gRPC
// says so. Unavailable is among the unknown: gRPC does not tell a connection that never
// came up from one that broke under the call.
//
// An error that is no status, such as the io.EOF of a stream, or that has a class
// already, is returned as it is.
func FromStatus(err error) error {
	st, ok := status.FromError(err)
	if err == nil || !ok || hasClass(err) {
		return err
	}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == errorDomain {
			return fromInfo(st.Message(), info)
		}
	}
	return foreign(err, st.Code())
}

// fromInfo is toStatus backwards.
func fromInfo(text string, info *errdetails.ErrorInfo) error {
	e := &wireError{text: text}
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
	i, err := strconv.Atoi(info.GetMetadata()[opKey])
	if err != nil {
		return e
	}
	e.text = strings.TrimPrefix(text, opPosition(i))
	return &OpError{I: i, Err: e}
}

// foreign gives gRPC's own error a class. Its text stays: for a read the class
// means nothing.
func foreign(err error, code codes.Code) error {
	e := &wireError{text: err.Error(), is: []error{ErrOutcomeUnknown, err}}
	switch code {
	case codes.Unimplemented, codes.InvalidArgument, codes.Unauthenticated, codes.PermissionDenied:
		e.is[0] = ErrRejected
	case codes.DeadlineExceeded:
		e.is = append(e.is, context.DeadlineExceeded)
	case codes.Canceled:
		e.is = append(e.is, context.Canceled)
	}
	return e
}

func hasClass(err error) bool {
	for _, c := range wireClasses {
		if errors.Is(err, c.err) {
			return true
		}
	}
	return false
}

// wireError is an error that came over the wire.
type wireError struct {
	text string
	is   []error
}

func (e *wireError) Error() string   { return e.text }
func (e *wireError) Unwrap() []error { return e.is }
