package fsm

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/fsm/internal/snapfile"
)

// A snapshot has a section with everything that is no channel, and one for each shard
// of players and of channels that is not empty, in this order: see package snapfile. It is
// written while entries are applied.
//
// The hash of a state is the sum of the same sections, whatever the level. It is of
// the logical state: replicas that hold the same have the same hash.
const (
	snapshotVersion = 3
	// HashForm is the number of the form that is hashed. Hashes of two forms say nothing
	// about each other.
	HashForm = snapshotVersion
)

// snapshotVersion is the one that every server of the cluster can read.
func (s *State) snapshotVersion() uint32 {
	switch {
	case s.level < parkingLevel:
		return 1
	case s.level < scaleLevel:
		return 2
	}
	return snapshotVersion
}

// WriteSnapshot writes the state and returns the checksum, in hexadecimal. A
// halted state is not written: Raft would drop the log that a newer binary needs.
// Nobody applies meanwhile.
func (s *State) WriteSnapshot(w io.Writer) (sum string, err error) {
	if s.halted != nil {
		return "", fmt.Errorf("write snapshot: %w", s.halted)
	}
	if s.snapshotVersion() < snapshotVersion {
		sum, err = s.writeLegacy(w)
	} else {
		c := s.begin()
		defer c.release()
		sum, err = c.write(w)
	}
	if err != nil {
		return "", fmt.Errorf("write snapshot: %w", err)
	}
	return sum, nil
}

func (s *State) snapshotHead() *fsmpb.SnapshotHead {
	h := &fsmpb.SnapshotHead{Header: proto.CloneOf(s.header())}
	if s.level >= scaleLevel {
		h.Channels, h.Unswept = uint64(s.count.channels), uint64(s.count.unswept)
	}
	for _, sid := range slices.Sorted(maps.Keys(s.servers)) {
		h.Servers = append(h.Servers, s.servers[sid].record())
	}
	return h
}

// write writes the capture as a file.
func (c *capture) write(w io.Writer) (string, error) {
	out := snapfile.NewWriter(w, snapshotVersion)
	if err := c.sections(context.Background(), out.Section); err != nil {
		return "", err
	}
	sum, err := out.Close()
	return sum.String(), err
}

// hash sums the capture up.
func (c *capture) hash(ctx context.Context) (string, error) {
	sum := snapfile.NewSummer(HashForm)
	err := c.sections(ctx, func(kind snapfile.Kind, number uint32, raw []byte) error {
		sum.Section(kind, number, raw)
		return nil
	})
	if err != nil {
		return "", err
	}
	return sum.Sum().String(), nil
}

func (c *capture) sections(ctx context.Context, take func(snapfile.Kind, uint32, []byte) error) error {
	head, err := proto.MarshalOptions{Deterministic: true}.Marshal(c.head)
	if err != nil {
		return err
	}
	if err := take(snapfile.Header, 0, head); err != nil {
		return err
	}
	var players snapfile.PlayersEncoder
	for i := range shards {
		if err := c.readPlayers(ctx, i, &players); err != nil {
			return err
		}
		if players.Len() == 0 {
			continue
		}
		if err := take(snapfile.Players, uint32(i), players.Bytes()); err != nil {
			return err
		}
	}
	var channels snapfile.ChannelsEncoder
	for i := range shards {
		if err := c.readChannels(ctx, i, &channels); err != nil {
			return err
		}
		if channels.Len() == 0 {
			continue
		}
		if err := take(snapfile.Channels, uint32(i), channels.Bytes()); err != nil {
			return err
		}
	}
	return nil
}
