package node

import (
	"cmp"
	"context"
	"slices"

	"google.golang.org/grpc"

	"github.com/pofresh/globalchannel/fsm"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// ask answers a question from the replica. The index is read first: the answer is at
// least as new.
func (a *apiServer) ask(ctx context.Context, read *pb.Freshness, f func(s fsm.Reads, index uint64)) error {
	ctx, cancel := answerable(ctx)
	defer cancel()
	return toStatus(a.node.read(ctx, optionsOf(read), func(s fsm.Reads) { f(s, s.Index()) }))
}

// askWhole is ask for what is no question of fsm.Reads.
func (a *apiServer) askWhole(ctx context.Context, read *pb.Freshness, f func(*fsm.State)) error {
	ctx, cancel := answerable(ctx)
	defer cancel()
	return toStatus(a.node.readWhole(ctx, optionsOf(read), f))
}

// Count implements pb.GlobalChannelServer.
func (a *apiServer) Count(ctx context.Context, r *pb.CountRequest) (*pb.CountResponse, error) {
	sid := r.GetSid()
	if err := firstError(checkName(r.GetName()), checkSID(cmp.Or(sid, "any"))); err != nil {
		return nil, toStatus(err)
	}
	out := new(pb.CountResponse)
	return out, a.ask(ctx, r.GetRead(), func(s fsm.Reads, index uint64) {
		out.Index = index
		if sid == "" {
			out.Count = int64(s.Count(r.GetName()))
		} else {
			out.Count = int64(s.CountBySID(r.GetName(), sid))
		}
	})
}

// Where implements pb.GlobalChannelServer.
func (a *apiServer) Where(r *pb.WhereRequest, stream grpc.ServerStreamingServer[pb.WhereResponse]) error {
	if err := checkUID(r.GetUid()); err != nil {
		return toStatus(err)
	}
	var at uint64
	var stays []fsm.Stay
	err := a.ask(stream.Context(), r.GetRead(), func(s fsm.Reads, index uint64) { at, stays = index, s.Where(r.GetUid()) })
	if err != nil {
		return err
	}
	if len(stays) == 0 {
		return stream.Send(&pb.WhereResponse{Index: at})
	}
	const perChunk = memberChunk / (maxName + 8)
	for _, stay := range stays {
		for part := range slices.Chunk(stay.Channels, perChunk) {
			if err := stream.Send(&pb.WhereResponse{Index: at, Sid: stay.SID, Channels: part}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Channels implements pb.GlobalChannelServer.
func (a *apiServer) Channels(ctx context.Context, r *pb.ChannelsRequest) (*pb.ChannelsResponse, error) {
	if err := checkListing(r.GetPrefix(), r.GetAfter(), int(r.GetLimit())); err != nil {
		return nil, toStatus(err)
	}
	out := new(pb.ChannelsResponse)
	return out, a.askWhole(ctx, r.GetRead(), func(s *fsm.State) {
		out.Index, out.Names = s.Index(), s.Channels(r.GetPrefix(), r.GetAfter(), int(r.GetLimit()))
	})
}

// Explain implements pb.GlobalChannelServer.
func (a *apiServer) Explain(ctx context.Context, r *pb.ExplainRequest) (*pb.ExplainResponse, error) {
	if err := firstError(checkName(r.GetName()), checkUID(r.GetUid())); err != nil {
		return nil, toStatus(err)
	}
	ctx, cancel := answerable(ctx) // also for those who are asked below
	defer cancel()
	out := &pb.ExplainResponse{AgeMs: -1}
	e := explanation{name: r.GetName(), uid: r.GetUid(), forgetAfter: a.node.settings().ForgetAfter}
	err := a.askWhole(ctx, r.GetRead(), func(s *fsm.State) {
		out.Index, e.Explanation = s.Index(), s.Explain(r.GetName(), r.GetUid())
	})
	if err != nil {
		return nil, err
	}
	if age, known := a.node.reader.old(); known {
		out.AgeMs = age.Milliseconds()
	}
	out.Exists, out.Members, out.Parked, out.Changed = e.Exists, int64(e.Members), int64(e.Parked), e.Changed
	out.Verdict = e.verdict()
	for _, stay := range e.Elsewhere {
		out.Elsewhere = append(out.Elsewhere, stay.SID)
	}
	for _, p := range e.Hidden {
		out.ParkedElsewhere = append(out.ParkedElsewhere, p.SID)
	}
	out.Places = a.node.census().places(ctx, e.Places)
	return out, nil
}
