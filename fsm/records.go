package fsm

import (
	"errors"
	"fmt"
	"math"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// What is not in a channel is written as messages, in every version of a snapshot.

func (s *State) header() *fsmpb.SnapshotHeader {
	h := &fsmpb.SnapshotHeader{
		ClusterId: s.clusterID, Generation: s.generation, Index: s.index, Forgotten: s.forgotten, Settings: s.settings,
		SettingsIndex: s.settingsIndex, SettingsId: s.settingsID,
	}
	if s.level > firstLevel {
		h.Level = s.level
	}
	return h
}

func (s *State) setHeader(h *fsmpb.SnapshotHeader) {
	s.clusterID, s.generation, s.forgotten = h.GetClusterId(), h.GetGeneration(), h.GetForgotten()
	s.index = h.GetIndex()
	s.level = max(h.GetLevel(), firstLevel)
	s.settingsIndex, s.settingsID = h.GetSettingsIndex(), h.GetSettingsId()
	if h.GetSettings() != nil {
		s.settings = h.GetSettings()
	}
}

func (s *server) record() *fsmpb.ServerRecord {
	r := &fsmpb.ServerRecord{
		Sid: s.SID, Stype: s.SType, Zone: s.Zone, NodeId: s.NodeID, Incarnation: s.Incarnation, Addr: s.Addr,
		Via: s.Via, ViaEpoch: s.ViaEpoch, Epoch: s.Epoch, Up: s.Up, Changed: s.Changed,
		LastNumber: s.lastNumber, FirstEpoch: s.firstEpoch, Predecessor: s.predecessor, Parked: uint64(s.parked),
		Purged: s.purged,
	}
	if last := len(s.kept) - 1; last >= 0 {
		r.LastResults, r.LastIndex = s.kept[last].results, s.kept[last].index
		for i, a := range s.kept[:last] {
			number := s.lastNumber - uint64(last-i)
			r.Earlier = append(r.Earlier, &fsmpb.BatchRecord{Number: number, Index: a.index, Results: a.results})
		}
	}
	return r
}

func serverOf(p *fsmpb.ServerRecord) (*server, error) {
	if p.GetParked() > math.MaxInt32 {
		return nil, fmt.Errorf("%w: server %q had %d members", ErrMalformed, p.GetSid(), p.GetParked())
	}
	kept, err := keptOf(p)
	if err != nil {
		return nil, fmt.Errorf("%w: server %q: %w", ErrMalformed, p.GetSid(), err)
	}
	return &server{
		Server: Server{
			SID: p.GetSid(), SType: p.GetStype(), Zone: p.GetZone(), NodeID: p.GetNodeId(),
			Incarnation: p.GetIncarnation(), Addr: p.GetAddr(), Via: p.GetVia(), ViaEpoch: p.GetViaEpoch(),
			Epoch: p.GetEpoch(), Up: p.GetUp(), Changed: p.GetChanged(),
		},
		firstEpoch: p.GetFirstEpoch(), lastNumber: p.GetLastNumber(), kept: kept,
		parked: int(p.GetParked()), predecessor: p.GetPredecessor(), purged: p.GetPurged(),
	}, nil
}

// keptOf is the window of a server's batches: a row without gaps that ends with
// the last one, at most Window long, its indexes never falling.
func keptOf(p *fsmpb.ServerRecord) ([]answered, error) {
	last, earlier := p.GetLastNumber(), p.GetEarlier()
	if last == 0 {
		if len(earlier) > 0 || len(p.GetLastResults()) > 0 || p.GetLastIndex() != 0 {
			return nil, errors.New("results of no batch")
		}
		return nil, nil
	}
	if len(earlier) >= Window || uint64(len(earlier)) >= last {
		return nil, fmt.Errorf("results of %d batches before number %d", len(earlier), last)
	}
	var kept []answered
	index := uint64(1)
	for i, b := range earlier {
		if b.GetNumber() != last-uint64(len(earlier)-i) || b.GetIndex() < index || b.GetIndex() > p.GetLastIndex() {
			return nil, fmt.Errorf("batch %d at index %d is out of order", b.GetNumber(), b.GetIndex())
		}
		index = b.GetIndex()
		kept = append(kept, answered{index: index, results: b.GetResults()})
	}
	return append(kept, answered{index: p.GetLastIndex(), results: p.GetLastResults()}), nil
}

// parkEnded parks the members of lives that are over.
func (s *State) parkEnded() error {
	for sid, srv := range s.servers {
		if srv.Up {
			continue
		}
		if now := s.park(sid); now > srv.parked {
			return fmt.Errorf("%w: %d members of the ended life of %q, which had %d", ErrMalformed, now, sid, srv.parked)
		}
	}
	return nil
}
