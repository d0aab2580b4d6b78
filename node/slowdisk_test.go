package node

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/node/internal/disk"
	"github.com/pofresh/globalchannel/transport"
	"github.com/pofresh/globalchannel/transport/memnet"
)

// slowLog takes its time for each fsync.
type slowLog struct {
	raft.LogStore
	fsync time.Duration
}

func (l slowLog) StoreLogs(entries []*raft.Log) error {
	<-time.After(l.fsync)
	return l.LogStore.StoreLogs(entries)
}

func (l slowLog) StoreLog(entry *raft.Log) error { return l.StoreLogs([]*raft.Log{entry}) }

// slowVoters are three of them, with a leader.
func slowVoters(t *testing.T, fsync time.Duration) (voters []*consensus, leader *consensus) {
	t.Helper()
	net := memnet.New()
	log := slog.New(slog.DiscardHandler)
	var servers []raft.Server
	for i := range 3 {
		id, ip := fmt.Sprint("node-", i), fmt.Sprint("10.0.0.", i+1)
		port, err := transport.Open(transport.Options{NodeID: id, Network: net.Host(ip), Listen: ip + ":7400"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = port.Close() })
		port.Serve(nil)
		store, err := new(disk.Memory).Open(id)
		if err != nil {
			t.Fatal(err)
		}
		store.Log = slowLog{store.Log, fsync}
		c, err := startConsensus(id, port, store, fsm.NewReplica(), func(string) (string, bool) { return "", false }, log)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.close(context.Background(), func() error { return nil }) })
		voters = append(voters, c)
		servers = append(servers, raft.Server{ID: raft.ServerID(id), Address: transport.RaftAddress(id, port.Addr())})
	}
	for _, c := range voters {
		if err := c.raft.BootstrapCluster(raft.Configuration{Servers: servers}).Error(); err != nil {
			t.Fatal(err)
		}
	}
	for range 1000 {
		for _, c := range voters {
			if c.raft.VerifyLeader().Error() == nil {
				return voters, c
			}
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatal("no leader")
	return nil, nil
}

// Heartbeats wait behind fsync; see transport.QuietRaft.
func TestConsensus_SlowDisksCauseNoElection(t *testing.T) {
	for _, fsync := range []time.Duration{100 * time.Millisecond, 300 * time.Millisecond} {
		t.Run(fsync.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, leader := slowVoters(t, fsync)
				entry, err := fsm.EncodeEntry(fsm.Version, &fsmpb.Entry{Command: &fsmpb.Entry_Batches{Batches: &fsmpb.Batches{}}})
				if err != nil {
					t.Fatal(err)
				}
				term := leader.term()
				begun := time.Now()
				var callers sync.WaitGroup
				for range 4 { // so that the disks are never at rest
					callers.Go(func() {
						for time.Since(begun) < 5*time.Minute {
							if err := leader.raft.Apply(entry, 0).Error(); err != nil {
								t.Errorf("after %v: %v", time.Since(begun), err)
								return
							}
						}
					})
				}
				callers.Wait()
				if got := leader.term(); got != term {
					t.Errorf("term %d, was %d", got, term)
				}
			})
		})
	}
}
