package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/pofresh/globalchannel/cluster"
)

const (
	identityFile   = "node.json"
	identityFormat = 3 // the newest
)

// Identity is the durable record of who a node is. It satisfies cluster.Identity.
type Identity struct {
	write func(identity) error

	turn sync.Mutex // held over a write: they are one at a time, and may hang

	mu  sync.Mutex // guards now, the last that was written, which changes under turn as well
	now identity
}

// identity is the content of node.json.
type identity struct {
	// Format is raised by the first binary that writes what older ones would not see:
	// 2 has the kind of log, 3 has term and vote in one record.
	Format   int      `json:"format"`
	SID      string   `json:"sid"`
	LogStore LogStore `json:"log_store,omitempty"` // since format 2; before it, all were BoltDB
	// Recovering is the node id that a recovery which has not ended is about to give.
	Recovering string      `json:"recovering,omitempty"`
	Retired    *retirement `json:"retired,omitempty"`
	cluster.Record
}

// retirement marks a directory whose node has left its cluster for good: what it
// promised and voted there is over, and nobody may do it again in its name.
type retirement struct {
	Reason string    `json:"reason"`
	Time   time.Time `json:"time"`
}

// refusal is nil unless the directory, or what stands for one, is retired.
func (r *retirement) refusal(where string) error {
	if r == nil {
		return nil
	}
	return fmt.Errorf("%s was retired on %s: %s: delete all of it to start as a new server", where, r.Time.Format(time.RFC3339), r.Reason)
}

// Retire marks the directory: it cannot be opened again. It returns once the mark
// would survive a power loss. A second mark changes nothing.
func (i *Identity) Retire(reason string, at time.Time) error {
	err := i.change(func(next *identity) {
		if next.Retired == nil {
			next.Retired = &retirement{Reason: reason, Time: at.UTC().Truncate(time.Second)}
		}
	})
	if err != nil {
		return fmt.Errorf("retire the data directory: %w", err)
	}
	return nil
}

// logStore is the kind of log that this directory has.
func (id identity) logStore() LogStore {
	if id.LogStore == "" {
		return BoltDB
	}
	return id.LogStore
}

// Load returns the record as last saved.
func (i *Identity) Load() cluster.Record {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.now.Record
}

// Save returns once the record would survive a power loss.
func (i *Identity) Save(r cluster.Record) error {
	return i.change(func(next *identity) { next.Record = r })
}

// change writes what how makes of the content. Who only reads does not wait for it.
func (i *Identity) change(how func(next *identity)) error {
	i.turn.Lock()
	defer i.turn.Unlock()
	next := i.content()
	how(&next)
	if err := i.write(next); err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.now = next
	return nil
}

// close waits for a write that is under way: whoever opens the directory next must
// not find it overwritten by this one.
func (i *Identity) close() { i.turn.Lock(); defer i.turn.Unlock() }

// content is all that is in the file.
func (i *Identity) content() identity {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.now
}

// newIdentity is of a new node.
func newIdentity(sid string, kind LogStore) identity {
	id := identity{Format: identityFormat, SID: sid, Record: cluster.Record{NodeID: uuid.NewString()}}
	if kind != BoltDB {
		id.LogStore = kind
	}
	return id
}

// readIdentity returns ok false if the file does not exist.
func readIdentity(dir string) (id identity, ok bool, err error) {
	path := filepath.Join(dir, identityFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return id, false, nil
	}
	if err != nil {
		return id, false, fmt.Errorf("read identity: %w", err)
	}
	if err := json.Unmarshal(b, &id); err != nil {
		return id, false, fmt.Errorf("%s is damaged (%w): restore it from a backup, or delete the whole directory to start as a new node", path, err)
	}
	if id.Format > identityFormat {
		return id, false, fmt.Errorf("%s is of format %d, this binary knows up to %d: use the newer binary", path, id.Format, identityFormat)
	}
	if kind := id.logStore(); kind != BoltDB && kind != WAL {
		return id, false, fmt.Errorf("%s is damaged (log_store %q is unknown): restore it from a backup, or delete the whole directory to start as a new node", path, kind)
	}
	if _, err := uuid.Parse(id.NodeID); err != nil {
		return id, false, fmt.Errorf("%s is damaged (node_id %q is not a UUID): restore it from a backup, or delete the whole directory to start as a new node", path, id.NodeID)
	}
	return id, true, nil
}

// writeIdentity replaces the file atomically: a crash leaves the old or the new one.
func writeIdentity(dir string, id identity) error {
	b, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return fmt.Errorf("encode identity: %w", err)
	}
	tmp := filepath.Join(dir, identityFile+".tmp")
	if err := writeSynced(tmp, append(b, '\n')); err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	if err := os.Rename(tmp, filepath.Join(dir, identityFile)); err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	// Without this the rename itself may be lost with the power.
	return syncDir(dir)
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
