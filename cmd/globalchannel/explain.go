package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pofresh/globalchannel/node"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// diagnosis bounds the further questions that an error message is worth.
const diagnosis = time.Second

// advice is an error with what to do next.
type advice struct {
	err  error
	next string
}

func (a *advice) Error() string { return a.err.Error() + " (" + a.next + ")" }
func (a *advice) Unwrap() error { return a.err }

func advise(err error, format string, args ...any) error {
	return &advice{err, fmt.Sprintf(format, args...)}
}

// explain gives the error of a call back its identity and says what to do. ctx is
// the command's, not the call's, which may have ended.
func (c *connection) explain(ctx context.Context, client pb.GlobalChannelClient, err error) error {
	err = node.FromStatus(err)
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", err)
	}
	if _, foreign := status.FromError(err); foreign {
		return c.explainTransport(ctx, client, err)
	}
	switch {
	case errors.Is(err, node.ErrUnknownServer) && c.tells:
		return advise(err, "%s", c.registered(ctx, client))
	case errors.Is(err, node.ErrUnknownServer):
		return advise(err, "%s; the order is NAME UID SID", c.registered(ctx, client))
	case errors.Is(err, node.ErrServerGone):
		return advise(err, "its players went with it: start it, let them log in again, then repeat; %s", c.registered(ctx, client))
	case errors.Is(err, node.ErrReplicaBehind), errors.Is(err, node.ErrStale):
		return advise(err, "%s; a question with --stale does not wait", c.ownWords(ctx, client))
	case errors.Is(err, node.ErrClosed):
		return advise(err, "that server is shutting down: name another with --addr")
	case errors.Is(err, node.ErrRefused) && c.tells:
		return err // it says what to do
	case errors.Is(err, node.ErrRefused):
		return advise(err, "%s", c.registered(ctx, client))
	case errors.Is(err, node.ErrNoLeader), errors.Is(err, context.DeadlineExceeded):
		return advise(err, "%s%s", again(err), c.ownWords(ctx, client))
	case errors.Is(err, node.ErrOutcomeUnknown):
		return advise(err, "%s", strings.TrimSuffix(again(err), "; "))
	}
	return err // names the field and the limit, or there is nothing to do
}

// again is what a write of unknown fate needs: every command may be repeated.
func again(err error) string {
	if errors.Is(err, node.ErrOutcomeUnknown) {
		return "it may have taken effect: run the same command again; "
	}
	return ""
}

// explainTransport is for errors that are gRPC's own: the service never answered.
func (c *connection) explainTransport(ctx context.Context, client pb.GlobalChannelClient, err error) error {
	switch status.Code(err) {
	case codes.DeadlineExceeded:
		return advise(fmt.Errorf("no answer from %s within %v%s", c.addr, c.timeout, c.doubt(err)), "%s", c.ownWords(ctx, client))
	case codes.Unavailable, codes.Unauthenticated, codes.PermissionDenied:
		return c.unreachable(ctx, err)
	case codes.Unimplemented:
		return advise(err, "is %s a globalchannel server of this version?", c.addr)
	case codes.ResourceExhausted:
		return advise(err, "a message may have at most 1 MiB by default")
	}
	return err
}

// doubt is what a write owes to whoever waits for it and got no answer.
func (c *connection) doubt(err error) string {
	if c.writes && errors.Is(err, node.ErrOutcomeUnknown) {
		return ", so the write may or may not have taken effect"
	}
	return ""
}

// unreachable tells a port where nobody listens from one that turned us away.
// gRPC calls both Unavailable and differs only in text, so it looks itself.
func (c *connection) unreachable(ctx context.Context, cause error) error {
	if ctx.Err() == context.Canceled {
		return fmt.Errorf("interrupted: %w", cause)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), diagnosis)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return advise(fmt.Errorf("no server answers at %s%s: %w", c.addr, c.doubt(cause), err), "%s", c.startOne())
	}
	conn.Close()
	cause = fmt.Errorf("no way to talk to %s%s: %w", c.addr, c.doubt(cause), cause)
	var timeout net.Error
	switch {
	case errors.As(cause, &timeout) && timeout.Timeout():
		return advise(cause, "it takes connections but says nothing: is it paused or overloaded, or no globalchannel server?")
	case c.secretFile == "":
		return advise(cause, "if its cluster has a secret: --secret-file FILE")
	}
	return advise(cause, "%s must hold the same bytes as on the servers; if the cluster has no secret, leave --secret-file out", c.secretFile)
}

func (c *connection) startOne() string {
	if host, _, err := net.SplitHostPort(c.addr); err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback()) {
		secret := ""
		if c.secretFile != "" {
			secret = " --secret-file " + shellWord(c.secretFile)
		}
		return fmt.Sprintf("start one: globalchannel agent --id agent-1 --type agent --data ./agent-1 --listen %s%s; or name another with --addr HOST:PORT", c.addr, secret)
	}
	return "is a server running there, and the port open? or name another with --addr HOST:PORT"
}

// ownWords asks the node what is wrong with it.
func (c *connection) ownWords(ctx context.Context, client pb.GlobalChannelClient) string {
	ctx, cancel := context.WithTimeout(ctx, diagnosis)
	defer cancel()
	s, err := client.Status(ctx, &pb.StatusRequest{}, bounded()...)
	switch {
	case err != nil:
		return fmt.Sprintf("%s does not tell its status either: is it paused or overloaded, or no globalchannel server?", c.addr)
	case s.Problem != "":
		return fmt.Sprintf("%s says: %s", s.Sid, s.Problem)
	case s.Leader == "":
		return fmt.Sprintf("%s knows no leader; see: %s", s.Sid, c.command("servers"))
	}
	return fmt.Sprintf("%s is up and follows %s: it may be slow, try --timeout %v", s.Sid, s.Leader, 2*c.timeout)
}

// registered lists who is there, for somebody who named one who is not.
func (c *connection) registered(ctx context.Context, client pb.GlobalChannelClient) string {
	sids, err := knownSIDs(ctx, client)
	if err != nil || len(sids) == 0 {
		return "see who is registered: " + c.command("servers")
	}
	const most = 8
	more := ""
	if len(sids) > most {
		more = fmt.Sprintf(" and %d more", len(sids)-most)
		sids = sids[:most]
	}
	for i, sid := range sids {
		sids[i] = cell(sid)
	}
	return "registered are " + strings.Join(sids, ", ") + more
}

func knownSIDs(ctx context.Context, client pb.GlobalChannelClient) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, diagnosis)
	defer cancel()
	r, err := client.Servers(ctx, &pb.ServersRequest{}, bounded()...)
	if err != nil {
		return nil, err
	}
	sids := make([]string, 0, len(r.Servers))
	for _, s := range r.Servers {
		sids = append(sids, s.Sid)
	}
	return sids, nil
}

// shellWord quotes s for a command line if it needs to be.
func shellWord(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,@+=%"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
