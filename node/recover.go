package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/node/internal/disk"
	"github.com/pofresh/globalchannel/transport"
)

const (
	// recoveryGap is how many indexes a recovery leaves out. The lost servers may have
	// gone on beyond this log, by hours of writes; no index of theirs comes again.
	recoveryGap = 1 << 32
	// recoveryDial is how long an old voter is given to take a connection.
	recoveryDial = 2 * time.Second
)

// Recovery makes the data directory of a server that does not run the beginning of a
// new generation of its cluster, with this server as the only voter. It is for when a
// majority of the voters is lost for good, and it is the end of what only they knew:
// writes that were acknowledged and are not in this directory are gone; what is in its
// log without ever having been acknowledged takes effect.
//
// The settings, the cluster's id and the channels stay. All lives are over, and every
// other old server has to begin with an empty data directory: the new cluster
// refuses what is left of the old one.
type Recovery struct {
	DataDir string
	DryRun  bool              // look, and change nothing
	Force   []string          // the sentences that a refusal asked for
	Network transport.Network // nil: the real one; to see whether the other voters answer
	Logger  *slog.Logger      // nil: silent
}

// Recovered tells what is in a directory, and after Run what has become of it.
type Recovered struct {
	SID, ClusterID    string
	OldNodeID, NodeID string // NodeID: the new one; "" in a dry run
	Generation        uint32 // the new one
	Role              string // that it had: voter, replica, or "" for none
	LastIndex         uint64 // of its log; of several directories the one with the greatest (LastTerm, LastIndex) knows most
	LastTerm          uint64
	Stats             fsm.Stats // of the state at LastIndex
	Others            []OldServer

	resumed bool // an earlier recovery was interrupted behind its snapshot
}

// OldServer is another server of the old configuration.
type OldServer struct {
	NodeID, Addr string
	Voter        bool
	Listens      bool // something takes connections at its address
}

// Run recovers. ErrRefused says in words what is dangerous, each with the sentence
// that, given in Force, has it done all the same: a majority of voters could still be
// there, or this directory is a replica's. Errors name the directory that is empty,
// foreign, in use by a running server, damaged or retired.
func (r Recovery) Run(ctx context.Context) (Recovered, error) {
	log := r.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s, err := disk.OpenSalvage(ctx, r.DataDir, raftLogger(log))
	if err != nil {
		return Recovered{}, err
	}
	result, err := r.run(ctx, s)
	return result, errors.Join(err, s.Close())
}

func (r Recovery) run(ctx context.Context, s *disk.Salvage) (Recovered, error) {
	w, err := readWreck(ctx, s)
	if err != nil {
		return Recovered{}, err
	}
	result := w.describe(s)
	r.lookFor(ctx, result.Others)
	dangers := slices.DeleteFunc(result.dangers(), func(d danger) bool { return slices.Contains(r.Force, d.sentence) })
	if err := refusal(dangers); err != nil || r.DryRun {
		return result, err
	}
	if result.NodeID, err = s.Begin(); err != nil {
		return result, err
	}
	if err := w.rewrite(s, result.NodeID); err != nil {
		return result, fmt.Errorf("%w (the directory is of no use until a recovery of it ends well)", err)
	}
	return result, s.Finish(result.NodeID)
}

// generation of the cluster that this node's data is of; 0: it has none. All data of a
// later one than the first begins with a snapshot, which tells it.
func (n *Node) generation() (g uint32) {
	n.replica.Read(func(s fsm.Reads) { g = s.Generation() })
	if g == 0 && n.consensus.LastIndex() > 0 {
		return 1
	}
	return g
}

// wreck is what a directory holds of its cluster.
type wreck struct {
	replica     *fsm.Replica
	servers     raft.Configuration
	index, term uint64 // of the last entry
	begun       string // an earlier recovery got as far as the snapshot, for this node id
}

// readWreck reads the newest snapshot that can be read and applies all entries behind it.
func readWreck(ctx context.Context, s *disk.Salvage) (*wreck, error) {
	w := &wreck{replica: fsm.NewReplica()}
	if err := w.restore(s.Snapshots); err != nil {
		return nil, err
	}
	last, err := s.Log.LastIndex()
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	for i := w.index + 1; i <= last; i++ {
		if ctx.Err() != nil {
			return nil, ended(ctx)
		}
		var e raft.Log
		if err := s.Log.GetLog(i, &e); err != nil {
			return nil, fmt.Errorf("the log has no entry %d behind the snapshot: %w", i, err)
		}
		switch e.Type {
		case raft.LogCommand:
			w.replica.Apply(&e)
		case raft.LogConfiguration:
			w.servers = raft.DecodeConfiguration(e.Data)
		}
		w.index, w.term = e.Index, e.Term
	}
	if err := w.replica.Halted(); err != nil {
		return nil, fmt.Errorf("this binary does not understand all of the log, use the newer one: %w", err)
	}
	if len(w.servers.Servers) == 0 {
		return nil, errors.New("the directory holds no configuration of a cluster: its server was never let in")
	}
	return w, nil
}

func (w *wreck) restore(snapshots raft.SnapshotStore) error {
	list, err := snapshots.List()
	if err != nil {
		return fmt.Errorf("list snapshots: %w", err)
	}
	var failed []error
	for _, meta := range list {
		_, content, err := snapshots.Open(meta.ID)
		if err == nil {
			err = errors.Join(w.replica.Restore(content), content.Close())
		}
		if err == nil {
			w.servers, w.index, w.term = meta.Configuration, meta.Index, meta.Term
			return nil
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...) // nil: there is none
}

func (w *wreck) describe(s *disk.Salvage) Recovered {
	record := s.Identity.Load()
	r := Recovered{SID: s.SID, ClusterID: record.ClusterID, OldNodeID: record.NodeID, LastIndex: w.index, LastTerm: w.term}
	w.replica.View(func(state *fsm.State) { r.Stats, r.Generation = state.Stats(), state.Generation()+1 })
	if begun := s.Recovering(); begun != "" && len(w.servers.Servers) == 1 && string(w.servers.Servers[0].ID) == begun {
		w.begun, r.Role, r.resumed = begun, "voter", true
		r.Generation--
		return r
	}
	for _, other := range w.servers.Servers {
		_, addr := transport.SplitRaftAddress(other.Address)
		voter := other.Suffrage == raft.Voter
		if string(other.ID) != record.NodeID {
			r.Others = append(r.Others, OldServer{NodeID: string(other.ID), Addr: addr, Voter: voter})
			continue
		}
		r.Role = "replica"
		if voter {
			r.Role = "voter"
		}
	}
	return r
}

// lookFor finds out who of the others could be there.
func (r Recovery) lookFor(ctx context.Context, others []OldServer) {
	dial := (&net.Dialer{}).DialContext
	if r.Network != nil {
		dial = r.Network.DialContext
	}
	ctx, cancel := context.WithTimeout(ctx, recoveryDial)
	defer cancel()
	var group sync.WaitGroup
	for i, o := range others {
		group.Go(func() {
			conn, err := dial(ctx, "tcp", o.Addr)
			if err == nil {
				others[i].Listens = true
				_ = conn.Close() // nothing was said
			}
		})
	}
	group.Wait()
}

// dangers of going on.
func (r *Recovered) dangers() (dangers []danger) {
	if r.resumed {
		return nil // they were considered
	}
	voters, there := 0, 0
	if r.Role == "voter" {
		voters, there = 1, 1
	}
	for _, o := range r.Others {
		if o.Voter {
			voters++
		}
		if o.Voter && o.Listens {
			there++
		}
	}
	if there >= voters/2+1 {
		what := fmt.Sprintf("%d of the %d voters can be there, which is a majority: start them instead, nothing is lost then", there, voters)
		if len(r.Others) == 0 {
			what = "this server is the only voter: start it, nothing is lost"
		}
		dangers = append(dangers, danger{what, fmt.Sprintf("I know that %d of %d voters can be there and that a second cluster begins", there, voters)})
	}
	if r.Role != "voter" {
		dangers = append(dangers, danger{
			"the directory is not a voter's: what it has may be old, and acknowledged writes be lost that a voter's directory still has",
			"I know that this directory is not a voter's and may lack acknowledged writes",
		})
	}
	return dangers
}

// rewrite puts a snapshot of the new generation in the place of everything.
func (w *wreck) rewrite(s *disk.Salvage, nodeID string) error {
	if w.begun != nodeID {
		if err := w.write(s, nodeID); err != nil {
			return err
		}
	}
	first, err := s.Log.FirstIndex()
	if err != nil {
		return fmt.Errorf("first index: %w", err)
	}
	last, err := s.Log.LastIndex()
	if err != nil {
		return fmt.Errorf("last index: %w", err)
	}
	if last == 0 {
		return nil
	}
	if err := s.Log.DeleteRange(first, last); err != nil {
		return fmt.Errorf("empty the log: %w", err)
	}
	return nil
}

// addrOf is where a sid was last; its own configuration may have left it out. It is
// corrected when the server starts.
func (w *wreck) addrOf(sid string) (addr string) {
	w.replica.Read(func(state fsm.Reads) {
		s, _ := state.Server(sid)
		addr = s.Addr
	})
	return addr
}

func (w *wreck) write(s *disk.Salvage, nodeID string) error {
	index := w.index + recoveryGap
	if err := w.replica.Recover(index); err != nil {
		return err
	}
	addr := w.addrOf(s.SID)
	for _, old := range w.servers.Servers {
		if string(old.ID) == s.Identity.Load().NodeID {
			_, addr = transport.SplitRaftAddress(old.Address)
		}
	}
	alone := raft.Configuration{Servers: []raft.Server{{
		Suffrage: raft.Voter, ID: raft.ServerID(nodeID), Address: transport.RaftAddress(nodeID, addr),
	}}}
	_, encoder := raft.NewInmemTransport("")
	sink, err := s.Snapshots.Create(raft.SnapshotVersionMax, index, w.term, alone, index, encoder)
	if err != nil {
		return fmt.Errorf("create a snapshot: %w", err)
	}
	content, err := w.replica.Snapshot()
	if err != nil {
		return errors.Join(err, sink.Cancel())
	}
	defer content.Release()
	return content.Persist(sink)
}
