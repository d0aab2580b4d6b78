package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// SetSettings replaces the settings of the whole cluster. It returns once that is
// committed and applied by the leader, and shown by this node; the others follow. It may
// be called on any node, and is for an operator: Config.Cluster of a server that starts
// changes nothing.
//
// ErrInvalidArgument names the field. ErrUnsupported: a server of the cluster runs an
// older binary, which would not understand it.
func (n *Node) SetSettings(ctx context.Context, s Settings) error {
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	r, err := (&operator{n}).setSettings(ctx, &pb.SetSettingsRequest{Settings: settingsToAPI(s)})
	if err != nil {
		return err
	}
	return n.reader.wait(ctx, r.GetIndex())
}

// setSettings repeats a wish of unknown fate, under its id, until it is answered.
func (o *operator) setSettings(ctx context.Context, r *pb.SetSettingsRequest) (*pb.SetSettingsResponse, error) {
	s := settingsFromAPI(r.GetSettings())
	if err := s.validate(); err != nil {
		return nil, err
	}
	if r.GetId() == "" {
		r.Id = uuid.NewString()
	}
	if err := checkText("id", r.GetId(), maxName); err != nil {
		return nil, err
	}
	for {
		changed := o.node.enroll.route.changed()
		resp, err := onLeader(ctx, o, r.GetPassedOn(),
			func() (*pb.SetSettingsResponse, error) { return o.commitSettings(ctx, s, r.GetSeen(), r.GetId()) },
			func(leader pb.GlobalChannelClient) (*pb.SetSettingsResponse, error) {
				return leader.SetSettings(ctx, &pb.SetSettingsRequest{Settings: r.GetSettings(), Seen: r.GetSeen(), Id: r.GetId(), PassedOn: true})
			})
		if err == nil || !errors.Is(err, ErrOutcomeUnknown) || r.GetPassedOn() || ctx.Err() != nil {
			return resp, err
		}
		o.node.enroll.route.pause(ctx, changed, retryPauseMax)
	}
}

// commitSettings runs on the leader.
func (o *operator) commitSettings(ctx context.Context, s Settings, seen uint64, id string) (*pb.SetSettingsResponse, error) {
	asked := seen
	if asked == 0 {
		seen = 1<<64 - 1 // whatever was changed last
	}
	wish := &fsmpb.Entry{Command: &fsmpb.Entry_SetSettings{SetSettings: &fsmpb.SetSettings{Id: id, Seen: seen, Settings: s.toProto()}}}
	if err := o.mayWrite(ctx, wish); err != nil {
		return nil, err
	}
	result, disposition, err := o.node.committer.propose(ctx, wish)
	switch {
	case disposition == peerpb.Disposition_DISPOSITION_NOT_SUBMITTED:
		return nil, notSent(ErrNoLeader, err)
	case disposition != peerpb.Disposition_DISPOSITION_APPLIED:
		return nil, outcomeUnknown(err)
	case !result.Changed:
		return nil, fmt.Errorf("%w: the settings were changed after index %d: look at them again", ErrRefused, asked)
	}
	o.node.log.Info("the cluster's settings are changed", "settings", s, "index", result.Index)
	return &pb.SetSettingsResponse{Index: result.Index}, nil
}

// mayWrite refuses what a server of the cluster would not understand. A new leader may
// not have heard yet how far the level has risen.
func (o *operator) mayWrite(ctx context.Context, e *fsmpb.Entry) error {
	need := fsm.EntryLevel(e)
	if o.node.replica.Level() >= need {
		return nil
	}
	if err := o.node.committer.catchUp(ctx); err != nil {
		return notSent(ErrNoLeader, err)
	}
	if level := o.node.replica.Level(); level < need {
		return fmt.Errorf("%w: it needs feature level %d, and the cluster is at %d: not all of its servers are known yet to run a version that has it", ErrUnsupported, need, level)
	}
	return nil
}

// GetSettings implements pb.GlobalChannelServer.
func (a *apiServer) GetSettings(ctx context.Context, _ *pb.GetSettingsRequest) (*pb.GetSettingsResponse, error) {
	ctx, cancel := a.node.bounded(ctx)
	defer cancel()
	var out *pb.GetSettingsResponse
	err := a.node.readState(ctx, nil, func(s fsm.Reads) {
		out = &pb.GetSettingsResponse{Settings: settingsToAPI(settingsFromProto(s.Settings()).withDefaults()), Index: s.Index()}
	})
	return out, toStatus(err)
}

// SetSettings implements pb.GlobalChannelServer.
func (a *apiServer) SetSettings(ctx context.Context, r *pb.SetSettingsRequest) (*pb.SetSettingsResponse, error) {
	return operate(a, ctx, r, (&operator{a.node}).setSettings)
}

func settingsToAPI(s Settings) *pb.Settings {
	return &pb.Settings{
		ReapAfterMs: s.ReapAfter.Milliseconds(), ForgetAfterMs: s.ForgetAfter.Milliseconds(), RemoveAfterMs: s.RemoveAfter.Milliseconds(),
		MaxVoters: int32(s.MaxVoters), MaxMessageBytes: int32(s.Limits.MessageBytes), ExternalSids: s.ExternalSIDs,
		MaxMembers: int64(s.Limits.Members), MaxChannels: int64(s.Limits.Channels), MaxServers: int64(s.Limits.Servers),
	}
}

func settingsFromAPI(s *pb.Settings) Settings {
	ms := func(n int64) time.Duration {
		const most = int64(1<<63-1) / int64(time.Millisecond)
		return time.Duration(max(-1, min(n, most))) * time.Millisecond // a negative one is refused
	}
	return Settings{
		ReapAfter: ms(s.GetReapAfterMs()), ForgetAfter: ms(s.GetForgetAfterMs()), RemoveAfter: ms(s.GetRemoveAfterMs()),
		MaxVoters: int(s.GetMaxVoters()), ExternalSIDs: s.GetExternalSids(),
		Limits: Limits{
			MessageBytes: int(s.GetMaxMessageBytes()),
			Members:      atMostInt(s.GetMaxMembers()), Channels: atMostInt(s.GetMaxChannels()), Servers: atMostInt(s.GetMaxServers()),
		},
	}
}
