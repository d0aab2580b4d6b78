package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/pofresh/globalchannel/cluster"
)

// Salvage is the open directory of a server that does not run, and that is to go on
// as another one: a recovery gives it a new node id, because the servers it was with
// know the old one, and its votes.
type Salvage struct {
	*Store
	SID string
}

// OpenSalvage opens the directory as Open does for its own server, but makes nothing
// that is not there. Nobody else can have it open meanwhile.
func OpenSalvage(ctx context.Context, dir string, log hclog.Logger) (*Salvage, error) {
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("data directory %s does not exist", dir)
	case err != nil:
		return nil, fmt.Errorf("data directory: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("data directory %s is not a directory", dir)
	}
	id, ok, err := readIdentity(dir)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, fmt.Errorf("data directory %s is not a server's: it has no %s", dir, identityFile)
	case id.ClusterID == "":
		return nil, fmt.Errorf("data directory %s is of server %q, which never was part of a cluster: there is nothing to recover", dir, id.SID)
	}
	o := opening{dir: dir, sid: id.SID, kind: id.logStore(), logger: log, salvage: true}
	db, err := openBolt(ctx, filepath.Join(dir, logFile), openWritten)
	if err != nil {
		return nil, err
	}
	s, err := o.locked(ctx, db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Salvage{Store: s, SID: id.SID}, nil
}

// Recovering is the node id of a recovery that was begun and has not ended; "": of none.
func (s *Salvage) Recovering() string { return s.Identity.content().Recovering }

// Begin notes that a recovery is under way, and returns the node id that it gives. From
// here on no server starts from the directory until Finish; after a crash another
// recovery goes on under the same id.
func (s *Salvage) Begin() (nodeID string, err error) {
	id := s.Identity.content()
	if id.Recovering != "" {
		return id.Recovering, nil
	}
	id.Recovering = uuid.NewString()
	return id.Recovering, s.replace(id)
}

// Finish makes the directory that of the new node. What the old one had promised to
// whom is nobody's any more.
func (s *Salvage) Finish(nodeID string) error {
	id := s.Identity.content()
	id.Recovering = ""
	id.Record = cluster.Record{NodeID: nodeID, ClusterID: id.ClusterID, Admitted: true, Founders: id.FoundedBy()}
	return s.replace(id)
}

func (s *Salvage) replace(id identity) error {
	s.Identity.mu.Lock()
	defer s.Identity.mu.Unlock()
	if err := writeIdentity(s.dir, id); err != nil {
		return err
	}
	s.Identity.now = id
	return nil
}
