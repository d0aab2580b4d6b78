package harness

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// racesVariable makes this test's program one that has a data race, and does nothing else.
const racesVariable = "JEPSEN_LIKE_RACE_OF"

func init() {
	switch os.Getenv(racesVariable) {
	case "raft":
		moveFollower()
	case "ours":
		raceOfOurs()
	default:
		return
	}
	os.Exit(0)
}

func TestBinary_ExcusesOneRaceOfRaft(t *testing.T) {
	if !Race() {
		t.Skip("needs the race detector: go test -race")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	linked := func(name string) Binary {
		b := Binary{filepath.Join(t.TempDir(), name)}
		if err := os.Symlink(self, b.Path); err != nil {
			t.Fatal(err)
		}
		return b
	}
	strict, excusing := linked("strict"), linked("with spaces in its name")
	if err := excusing.excuseRaft(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		binary Binary
		raceOf string
		found  bool
	}{
		{strict, "raft", true}, // if it is not, raft is mended: delete the excuse
		{excusing, "raft", false},
		{excusing, "ours", true},
	} {
		r, err := test.binary.Run(bounded(t), []string{racesVariable + "=" + test.raceOf})
		if err != nil {
			t.Fatal(err)
		}
		if found := strings.Contains(r.Stderr, "DATA RACE"); found != test.found || found != (r.Code != 0) {
			t.Errorf("race of %s: %v; want it found: %v", test.raceOf, r, test.found)
		}
	}
}

// moveFollower changes the address of a server, time after time, while the answer to an
// AppendEntries for it is under way.
func moveFollower() {
	begin := func(id raft.ServerID, trans raft.Transport, servers ...raft.Server) *raft.Raft {
		conf := raft.DefaultConfig()
		conf.LocalID, conf.LogOutput = id, io.Discard
		conf.HeartbeatTimeout, conf.ElectionTimeout, conf.LeaderLeaseTimeout = time.Second/4, time.Second/4, time.Second/4
		store, snapshots := raft.NewInmemStore(), raft.NewInmemSnapshotStore()
		if len(servers) > 0 {
			check(raft.BootstrapCluster(conf, store, store, snapshots, trans, raft.Configuration{Servers: servers}))
		}
		r, err := raft.NewRaft(conf, new(raft.MockFSM), store, store, snapshots, trans)
		check(err)
		return r
	}
	home, near := raft.NewInmemTransport("")
	_, far := raft.NewInmemTransport("")
	far.Connect(home, near)
	begin("far", far)
	held := &heldAnswers{InmemTransport: near, answers: make(chan *bool)}
	leader := begin("near", held, raft.Server{ID: "near", Address: home})
	<-leader.LeaderCh()
	move := func(i int) {
		address := raft.ServerAddress(strconv.Itoa(i))
		near.Connect(address, far)
		check(leader.AddNonvoter("far", address, 0, 0).Error())
	}
	move(0)
	for i := range 20 {
		pass := <-held.answers
		move(i + 1)
		set(pass)
	}
}

// heldAnswers holds back each answer that acknowledges entries, until it may pass: what
// it waits for is hidden from the race detector, or would put both sides in an order.
type heldAnswers struct {
	*raft.InmemTransport
	answers chan *bool
}

func (h *heldAnswers) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}

func (h *heldAnswers) AppendEntries(id raft.ServerID, to raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	err := h.InmemTransport.AppendEntries(id, to, args, resp)
	if err == nil && len(args.Entries) > 0 {
		pass := new(bool)
		h.answers <- pass
		for !get(pass) {
			runtime.Gosched()
		}
	}
	return err
}

//go:norace
//go:noinline
func set(b *bool) { *b = true }

//go:norace
//go:noinline
func get(b *bool) bool { return *b }

func raceOfOurs() {
	var n int
	var others sync.WaitGroup
	others.Go(func() { n++ })
	n++
	others.Wait()
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
