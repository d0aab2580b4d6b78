package trial

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/checker"
	"github.com/pofresh/globalchannel/jepsen_like_test/history"
	"github.com/pofresh/globalchannel/jepsen_like_test/nemesis"
	"github.com/pofresh/globalchannel/jepsen_like_test/workload"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// Cluster is what a run needs of one.
type Cluster interface {
	nemesis.Cluster
	Target(sid string) workload.Server // for clients
	// Pushes are the callers and the frontends of Push.
	Pushes() workload.Pushes
	// Replicas asks every server for the hash of its state, and notes it.
	Replicas(ctx context.Context) ([]*pb.StatusResponse, error)
}

// Observer is a cluster that notes what its servers show of each other, until ctx ends.
type Observer interface{ Observe(ctx context.Context) }

// Load is a workload with its checker.
type Load interface {
	Run(ctx context.Context)                         // until ctx ends and every operation has returned
	ReadAll(ctx context.Context, index uint64) error // once all is well again
	Check(events []history.Event) (Verdict, error)   // the error is about the history
}

// Verdict is what a checker found.
type Verdict struct {
	Checked    int // operations
	Writes     int // of those: writes, or pushes, that were acknowledged
	Report     string
	Violations []checker.Violation
	Page       func(path string) (bool, error) // nil: there is none to be drawn
	Idle       string                          // what the history was no occasion to ask; "": all was asked
}

// Setup is what a workload is made for.
type Setup struct {
	Cluster Cluster
	History *history.Recorder
	Spec    Spec
}

var loads = map[string]func(Setup) Load{
	"set":      newSet,
	"register": newRegister,
	Push:       newPush,
	Sessions:   newSessions,
}

// Names of workloads that more than their own code knows.
const (
	Push     = "push"
	Sessions = "sessions" // simulated only: players are part of a server's process
)

// Workloads are the names of all.
func Workloads(simulated bool) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(loads)), func(name string) bool { return name == Sessions && !simulated })
}

// Hosting is a cluster whose servers have players.
type Hosting interface{ Hosts() []workload.Host }

func (s Setup) load() (Load, error) {
	if names := Workloads(s.Spec.Simulated); !slices.Contains(names, s.Spec.Workload) {
		return nil, fmt.Errorf("no workload %q here; there are %s", s.Spec.Workload, strings.Join(names, ", "))
	}
	return loads[s.Spec.Workload](s), nil
}

// restful is how long a client rests between two operations: in simulated time an hour
// of them has to fit into memory, and into a search for an order.
func (s Setup) restful() time.Duration {
	if s.Spec.Simulated {
		return s.Spec.Rest(time.Second)
	}
	return s.Spec.Rest(20 * time.Millisecond)
}

// set is distinct members that each belong to one client.
type set struct{ *workload.SetFull }

func newSet(s Setup) Load {
	w := &workload.SetFull{Channels: 4, Seed: s.Spec.Seed, Timeout: 3 * time.Second, Pause: s.restful(), History: s.History}
	w.Servers = servers(s.Cluster)
	w.Workers = len(w.Servers)
	return set{w}
}

func (s set) ReadAll(ctx context.Context, index uint64) error {
	return s.SetFull.ReadAll(ctx, index, workload.SType)
}

func (s set) Check(events []history.Event) (Verdict, error) {
	r, err := checker.Check(events)
	return Verdict{Checked: r.Adds + r.Leaves + r.Reads, Writes: r.Adds + r.Leaves, Report: r.String(), Violations: r.Violations}, err
}

// register is few members that all clients write and read linearizably.
type register struct{ *workload.Linear }

func newRegister(s Setup) Load {
	list := servers(s.Cluster)
	n := len(list)
	return register{&workload.Linear{
		Servers: list, SIDs: sids(list), Workers: n, Readers: n, Alternators: n, Delayed: n, Channels: 4, UIDs: 3, Seed: s.Spec.Seed,
		Pause: s.restful(), Timeout: 5 * time.Second, Impatience: time.Second, Delay: late, History: s.History,
	}}
}

// late is how long delayed writes are held back: longer than ReapAfter in these runs.
const late = 8 * time.Second

func (r register) ReadAll(ctx context.Context, _ uint64) error { return r.Linear.ReadAll(ctx) }

func (r register) Check(events []history.Event) (Verdict, error) {
	report, err := checker.CheckLinear(events, searchTime)
	v := Verdict{Checked: report.Writes + report.Reads, Writes: report.Writes, Report: report.String(), Violations: report.Violations}
	v.Page = func(path string) (bool, error) { return report.WritePage(path, searchTime) }
	return v, err
}

// push is callers that push, and frontends.
type push struct{ *workload.Pushes }

func newPush(s Setup) Load {
	w := s.Cluster.Pushes()
	w.Seed, w.History, w.Rest = s.Spec.Seed, s.History, s.Spec.Rest(200*time.Millisecond)
	if s.Spec.Simulated {
		w.Rest = s.Spec.Rest(1500 * time.Millisecond)
	}
	return push{&w}
}

func (p push) ReadAll(ctx context.Context, _ uint64) error { return p.Pushes.ReadAll(ctx) }

func (p push) Check(events []history.Event) (Verdict, error) {
	r, err := checker.CheckPushes(events)
	v := Verdict{Checked: r.Pushes + r.Handed, Writes: r.Pushes, Report: r.String(), Violations: r.Violations}
	if r.Owed == 0 || r.Left == 0 {
		v.Idle = "no push was owed to anybody, or nobody had left"
	}
	return v, err
}

// apart is how calm runs of Sessions are at least: a minute after a fault is when it can be
// asked whether hosts have found out who is offline.
const apart = 10

// sessions is players who come and go.
type sessions struct{ *workload.Sessions }

func newSessions(s Setup) Load {
	return sessions{&workload.Sessions{
		Hosts: s.Cluster.(Hosting).Hosts(), Servers: servers(s.Cluster), Players: 4, Seed: s.Spec.Seed, Rest: s.Spec.Rest(3 * time.Second), History: s.History,
	}}
}

func (s sessions) ReadAll(ctx context.Context, _ uint64) error { return s.Sessions.ReadAll(ctx) }

func (s sessions) Check(events []history.Event) (Verdict, error) {
	r, err := checker.CheckSessions(events)
	v := Verdict{Checked: r.Adds + r.Reads, Writes: r.Adds, Report: r.String(), Violations: r.Violations}
	if r.Shown == 0 || r.Parted == 0 {
		v.Idle = "nobody had to be shown, or nobody not to be shown, while all were well"
	}
	return v, err
}

// searchTime bounds the search for an order.
const searchTime = time.Minute

func sids(list []workload.Server) (sids []string) {
	for _, s := range list {
		sids = append(sids, s.ID())
	}
	return sids
}

func servers(c Cluster) (list []workload.Server) {
	for _, sid := range slices.Concat(c.Voters(), c.NonVoters()) {
		list = append(list, c.Target(sid))
	}
	return list
}
