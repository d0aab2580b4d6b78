package workload

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/node"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// Dialler is a server to whose processes connections can be made that reach no other
// process, however long they are kept.
type Dialler interface {
	ID() string
	Dial(ctx context.Context) (number int, conn *grpc.ClientConn, err error)
}

// Remote is a server whose callers use the public service.
func Remote(server Dialler) Pusher { return &remote{Dialler: server} }

type remote struct {
	Dialler
	now *remoteProcess // nil: none yet, or hung up
}

// Process implements Pusher.
func (r *remote) Process(ctx context.Context) PushProcess {
	for ctx.Err() == nil {
		if r.now != nil && r.now.conn.GetState() == connectivity.Ready {
			return r.now
		}
		r.HangUp()
		if number, conn, err := r.Dial(ctx); err == nil {
			r.now = &remoteProcess{number, conn, pb.NewGlobalChannelClient(conn)}
		} else {
			pause(ctx, redial)
		}
	}
	return nil
}

const redial = 100 * time.Millisecond

// HangUp implements Pusher.
func (r *remote) HangUp() {
	if r.now != nil {
		_ = r.now.conn.Close()
		r.now = nil
	}
}

// remoteProcess is a process at the other end of a connection.
type remoteProcess struct {
	number int
	conn   *grpc.ClientConn
	client pb.GlobalChannelClient
}

// Number implements Process.
func (p *remoteProcess) Number() int { return p.number }

// Write implements Process.
func (p *remoteProcess) Write(ctx context.Context, e history.Event) (uint64, []bool, error) {
	return call(ctx, p.client, e)
}

// Alive implements Process. Who is told something by a process that has died since was
// told it by that process all the same.
func (p *remoteProcess) Alive(note func()) bool { note(); return true }

// Lives implements PushProcess.
func (p *remoteProcess) Lives(ctx context.Context) map[string]uint64 {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := p.client.Servers(ctx, &pb.ServersRequest{})
	if err != nil {
		return nil
	}
	lives := make(map[string]uint64)
	for _, s := range r.GetServers() {
		lives[s.GetSid()] = s.GetEpoch()
	}
	return lives
}

// Push implements PushProcess. Of a broken connection nobody knows what it carried.
func (p *remoteProcess) Push(ctx context.Context, m Message) (history.Type, PushReport, error) {
	ctx, cancel := context.WithTimeout(ctx, m.Timeout+patience) // the report of a timeout is worth more than our own
	defer cancel()
	r, err := p.client.Push(ctx, &pb.PushRequest{
		Name: m.Channel, Stype: SType, Route: "route", Msg: m.Bytes, TimeoutMs: m.Timeout.Milliseconds(),
	})
	if err != nil {
		if errors.Is(node.FromStatus(err), node.ErrOutcomeUnknown) {
			return history.Unknown, PushReport{}, err
		}
		return history.Fail, PushReport{}, err
	}
	report := PushReport{Undelivered: r.GetUndelivered()}
	for _, s := range r.GetServers() {
		report.Answers = append(report.Answers, history.Answer{SID: s.GetSid(), Outcome: outcomes[s.GetOutcome()], Offline: s.GetFailed(), Text: s.GetReason()})
	}
	return history.OK, report, nil
}

var outcomes = map[pb.Outcome]history.Outcome{
	pb.Outcome_OUTCOME_DELIVERED: history.Delivered, pb.Outcome_OUTCOME_NOT_DELIVERED: history.NotDelivered, pb.Outcome_OUTCOME_UNKNOWN: history.Uncertain,
}
