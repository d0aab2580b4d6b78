package node

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/transport/peerpb"
)

// scaleLevel is the level of the state from which on its settings may limit it.
const scaleLevel = 4

// foundingWish is the id of the SetSettings that brings the limits of the founding.
const foundingWish = "founding"

// foundedLimits limits the state as its founders agreed, once the level has that: the
// founding entry is older than any level. Whoever changed the settings meanwhile has
// changed these too. Every leader that founded tries; repeating it changes nothing.
func (n *Node) foundedLimits(ctx context.Context) {
	agreed, err := n.agreedSettings()
	if err != nil {
		n.log.Error("the limits of the founding are lost", "err", err)
		return
	}
	if !limited(agreed) {
		return
	}
	for ctx.Err() == nil {
		var level uint32
		var changed uint64
		n.replica.Read(func(s fsm.Reads) { level, changed = s.Level(), s.SettingsIndex() })
		if changed != 0 {
			return
		}
		if level >= scaleLevel {
			err := n.commitLimits(ctx, agreed)
			if err == nil {
				return
			}
			n.log.Debug("limits of the founding not committed", "err", err)
		}
		wait(ctx, time.Second/10)
	}
}

// agreedSettings are those of the founding that this node took part in; nil if it did not.
func (n *Node) agreedSettings() (*fsmpb.Settings, error) {
	promise := n.store.Identity.Load().Promise
	if promise == nil {
		return nil, nil
	}
	return decodeSettings(promise.Settings)
}

func (n *Node) commitLimits(ctx context.Context, s *fsmpb.Settings) error {
	wish := &fsmpb.SetSettings{Id: foundingWish, Settings: s} // seen 0: only if they were never changed
	_, disposition, err := n.committer.propose(ctx, &fsmpb.Entry{Command: &fsmpb.Entry_SetSettings{SetSettings: wish}})
	if err == nil && disposition != peerpb.Disposition_DISPOSITION_APPLIED {
		err = fmt.Errorf("not committed: %s", disposition)
	}
	return err
}

func limited(s *fsmpb.Settings) bool {
	return s.GetMaxMembers() != 0 || s.GetMaxChannels() != 0 || s.GetMaxServers() != 0
}

func withoutLimits(s *fsmpb.Settings) *fsmpb.Settings {
	s = proto.CloneOf(s)
	s.MaxMembers, s.MaxChannels, s.MaxServers = 0, 0, 0
	return s
}
