package node

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pofresh/globalchannel/fsm"
)

// meters count what happens on this node. They belong to it alone: many nodes may
// live in one process, whose own registry is the host's.
type meters struct {
	registry *prometheus.Registry
	writes   *prometheus.CounterVec // by result
	acked    prometheus.Counter     // of writes, at hand for the hot path
	commits  prometheus.Histogram
	batches  prometheus.Histogram
	pushes   *prometheus.CounterVec // by outcome
}

const metricPrefix = "globalchannel"

func newMeters() *meters {
	m := &meters{
		registry: prometheus.NewRegistry(),
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: metricPrefix, Name: "writes_total",
			Help: "Calls on this node that write, by result; a group of operations is one call.",
		}, []string{"result"}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: metricPrefix, Name: "commit_duration_seconds",
			Help:    "From the first sending of a batch of this node to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14), // to 4 s
		}),
		batches: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: metricPrefix, Name: "batch_operations",
			Help:    "Operations in each answered batch of this node.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 7), // to 4096
		}),
		pushes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: metricPrefix, Name: "push_deliveries_total",
			Help: "Frontends that pushes of this node were meant for, by outcome.",
		}, []string{"outcome"}),
	}
	for _, c := range wireClasses {
		m.writes.WithLabelValues(c.name) // shown from the start, as 0
	}
	for o := Delivered; o <= Unknown; o++ {
		m.pushes.WithLabelValues(outcomeLabel(o))
	}
	m.acked = m.writes.WithLabelValues("acknowledged")
	m.registry.MustRegister(m.writes, m.commits, m.batches, m.pushes)
	return m
}

// wrote counts a call by the class of its error.
func (m *meters) wrote(err error) {
	if err == nil {
		m.acked.Inc()
		return
	}
	for _, c := range wireClasses {
		if errors.Is(err, c.err) {
			m.writes.WithLabelValues(c.name).Inc()
			return
		}
	}
}

// answered notes a batch of so many operations.
func (m *meters) answered(operations int, took time.Duration) {
	m.batches.Observe(float64(operations))
	m.commits.Observe(took.Seconds())
}

func (m *meters) pushed(reports []ServerReport) {
	for _, s := range reports {
		m.pushes.WithLabelValues(outcomeLabel(s.Outcome)).Inc()
	}
}

func outcomeLabel(o Outcome) string {
	switch o {
	case Delivered:
		return "delivered"
	case NotDelivered:
		return "not_delivered"
	}
	return "unknown"
}

// gauges read the node when it is scraped. Nothing here waits for Raft, the leader or
// the disk: that a scrape is answered while they hang is what it is for.
type gauges struct {
	node  *Node
	descs map[string]*prometheus.Desc
}

// The gauges and counters that are read.
var gaugeHelp = []struct{ name, help, label string }{
	{"build_info", "Always 1; the version of this library is the label.", "version"},
	{"ready", "1 while this server may take players, as /readyz tells.", ""},
	{"raft_term", "Newest term that this node has seen.", ""},
	{"raft_leader", "1 while this node leads.", ""},
	{"raft_leader_known", "1 while this node knows a leader.", ""},
	{"raft_last_index", "Last index of this node's log.", ""},
	{"raft_commit_index", "Last index that this node knows to be committed.", ""},
	{"raft_servers", "Servers in the configuration that this node knows, by role.", "role"},
	{"replica_index", "Index that the replica has applied.", ""},
	{"replica_age_seconds", "Time since the replica had all that was acknowledged anywhere; absent until it was measured.", ""},
	{"channels", "Channels in the replica.", ""},
	{"memberships", "Memberships in the replica.", ""},
	{"parked_memberships", "Memberships of ended lives that may come back.", ""},
	{"lives", "Servers that are up, attached frontends included.", ""},
	{"state_differs", "1 while this server's state is known to differ from that of a majority of voters: it is not read and does not lead.", ""},
	{"servers_differing", "On the leader: servers whose state differed when they were compared last.", ""},
	{"states_undecided", "1 while states differ and a majority of voters holds none of them.", ""},
	{"epoch", "Of this life; 0 before it is registered.", ""},
	{"outbox_operations", "Operations that wait on this node for a place in a batch.", ""},
	{"outbox_batches", "Batches of this node that are sent and not answered.", ""},
	{"gossip_members", "Processes that gossip holds to be alive, this one included.", ""},
	{"gossip_rejections_total", "Gossip messages that were refused, by reason.", "reason"},
}

func newGauges(n *Node) *gauges {
	g := &gauges{node: n, descs: make(map[string]*prometheus.Desc, len(gaugeHelp))}
	for _, d := range gaugeHelp {
		var labels []string
		if d.label != "" {
			labels = []string{d.label}
		}
		g.descs[d.name] = prometheus.NewDesc(metricPrefix+"_"+d.name, d.help, labels, nil)
	}
	return g
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range g.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	n := g.node
	gauge := func(name string, v float64, label ...string) {
		ch <- prometheus.MustNewConstMetric(g.descs[name], prometheus.GaugeValue, v, label...)
	}
	var stats fsm.Stats
	n.replica.View(func(s *fsm.State) { stats = s.Stats() })
	gauge("channels", float64(stats.Channels))
	gauge("memberships", float64(stats.Memberships))
	gauge("parked_memberships", float64(stats.Parked))
	gauge("lives", float64(stats.Servers))

	leads, _ := n.consensus.leadership()
	leader, _ := n.consensus.Leader()
	gauge("raft_term", float64(n.consensus.term()))
	gauge("raft_leader", truth(leads))
	gauge("raft_leader_known", truth(leader != ""))
	gauge("raft_last_index", float64(n.consensus.LastIndex()))
	gauge("raft_commit_index", float64(n.consensus.committed()))
	roles := map[string]int{"voter": 0, "replica": 0}
	if servers, err := n.consensus.Configuration(); err == nil {
		for _, s := range servers {
			if s.Voter {
				roles["voter"]++
			} else {
				roles["replica"]++
			}
		}
	}
	for role, count := range roles {
		gauge("raft_servers", float64(count), role)
	}
	gauge("replica_index", float64(n.replica.Index()))
	if old, known := n.reader.old(); known {
		gauge("replica_age_seconds", old.Seconds())
	}
	differs := n.consensus.fitness.distrusted() != nil
	trouble, wrong := n.auditor.trouble()
	gauge("state_differs", truth(differs))
	gauge("servers_differing", float64(wrong))
	gauge("states_undecided", truth(trouble != "" && wrong == 0 && !differs))
	epoch, _ := n.life.now()
	gauge("epoch", float64(epoch))
	gauge("ready", truth(len(n.unready()) == 0))
	gauge("build_info", 1, n.rollCall.version)
	operations, sent := n.outbox.load()
	gauge("outbox_operations", float64(operations))
	gauge("outbox_batches", float64(sent))
	gauge("gossip_members", float64(len(n.cluster.Members())))
	r := n.cluster.Rejections()
	for reason, count := range map[string]uint64{
		"foreign": r.Foreign, "garbage": r.Garbage, "full": r.Full, "moved": r.Moved, "unsealed": r.Unsealed, "oversized": r.Oversized,
	} {
		ch <- prometheus.MustNewConstMetric(g.descs["gossip_rejections_total"], prometheus.CounterValue, float64(count), reason)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
