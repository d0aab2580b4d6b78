package cluster

import (
	"bytes"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/memberlist"
)

func TestMetadata_RoundTrip(t *testing.T) {
	for _, m := range []metadata{
		{SID: "a"},
		{Expect: 255, Started: 1 << 40, SID: strings.Repeat("s", 64), ClusterID: strings.Repeat("c", 36), Addr: strings.Repeat("h", 80) + ":1"},
	} {
		b, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeMetadata(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestMetadata_TooLongIsAnErrorNotAPanic(t *testing.T) {
	m := metadata{SID: strings.Repeat("s", 64), ClusterID: strings.Repeat("c", 36), Addr: strings.Repeat("h", 90) + ":1"}
	if b, err := m.encode(); err == nil {
		t.Errorf("encoded %d bytes", len(b))
	}
}

func FuzzDecodeMetadata(f *testing.F) {
	good, _ := metadata{Expect: 3, Started: 1, SID: "a", ClusterID: "c", Addr: "host:1"}.encode()
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(append(bytes.Clone(good), 0))
	f.Add([]byte{metadataVersion})
	f.Add(bytes.Repeat([]byte{255}, 200))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMetadata(b)
		if err != nil {
			return
		}
		again, err := m.encode()
		if err != nil || !bytes.Equal(b, again) {
			t.Errorf("%x decodes to %+v, which encodes to %x, %v", b, m, again, err)
		}
	})
}

func TestDelegate_RefusesWhatItShould(t *testing.T) {
	meta := func(cluster string) []byte {
		b, _ := metadata{SID: "b", ClusterID: cluster}.encode()
		return b
	}
	node := func(change func(*memberlist.Node)) *memberlist.Node {
		n := &memberlist.Node{Name: "node/start", Addr: net.IPv4(10, 0, 0, 2).To4(), Port: 7400, Meta: meta("ours")}
		change(n)
		return n
	}
	tests := map[string]struct {
		node *memberlist.Node
		want Rejections
	}{
		"fellow":          {node(func(*memberlist.Node) {}), Rejections{}},
		"without cluster": {node(func(n *memberlist.Node) { n.Meta = meta("") }), Rejections{}},
		"itself":          {node(func(n *memberlist.Node) { n.Name, n.Meta = "self/now", nil }), Rejections{}},
		"other cluster":   {node(func(n *memberlist.Node) { n.Meta = meta("theirs") }), Rejections{Foreign: 1}},
		"no metadata":     {node(func(n *memberlist.Node) { n.Meta = nil }), Rejections{Garbage: 1}},
		"bad metadata":    {node(func(n *memberlist.Node) { n.Meta = []byte("hello") }), Rejections{Garbage: 1}},
		"newer format":    {node(func(n *memberlist.Node) { n.Meta[0]++ }), Rejections{Garbage: 1}},
		"name":            {node(func(n *memberlist.Node) { n.Name = "node" }), Rejections{Garbage: 1}},
		"name of three":   {node(func(n *memberlist.Node) { n.Name = "a/b/c" }), Rejections{Garbage: 1}},
		"wildcard":        {node(func(n *memberlist.Node) { n.Addr = net.IPv4zero }), Rejections{Garbage: 1}},
		"multicast":       {node(func(n *memberlist.Node) { n.Addr = net.IPv4(224, 0, 0, 1) }), Rejections{Garbage: 1}},
		"port zero":       {node(func(n *memberlist.Node) { n.Port = 0 }), Rejections{Garbage: 1}},
		"address length":  {node(func(n *memberlist.Node) { n.Addr = net.IP{1, 2, 3} }), Rejections{Garbage: 1}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := &delegate{dir: newDirectory(entry{}, "ours"), meta: &announcement{}, name: "self/now"}
			err := d.NotifyAlive(test.node)
			if refused := test.want != (Rejections{}); (err != nil) != refused {
				t.Errorf("err = %v", err)
			}
			if diff := cmp.Diff(test.want, d.dir.rejections()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDirectory_IsBounded(t *testing.T) {
	d := newDirectory(entry{}, "")
	d.limit = 2
	for i := range 2 {
		d.put(entry{Member: Member{NodeID: nodeID(i), Incarnation: "x"}, gossipAddr: simAddr(i)})
	}
	if err := d.admit("new/x", entry{}, nil); err == nil || d.rejections().Full != 1 {
		t.Errorf("third process: %v, %+v", err, d.rejections())
	}
	if err := d.admit(nodeID(0)+"/x", entry{}, nil); err != nil {
		t.Errorf("a known one: %v", err)
	}
	for i := range 2 * maxKnown {
		e := entry{Member: Member{NodeID: "n", Incarnation: nodeID(i)}, gossipAddr: nodeID(i)}
		d.put(e)
		d.drop(gossipName("n", e.Incarnation))
	}
	if n := len(d.known); n > maxKnown {
		t.Errorf("%d addresses remembered", n)
	}
	if got := d.missing(); !slices.Contains(got, nodeID(2*maxKnown-1)) || slices.Contains(got, nodeID(0)) {
		t.Error("the newest address was forgotten before the oldest")
	}
}

func TestDirectory_ShowsTheNewestOfANodeIDAndOfAnAddress(t *testing.T) {
	d := newDirectory(entry{Member: Member{NodeID: "self", Incarnation: "1", Addr: simAddr(0)}, gossipAddr: simAddr(0)}, "ours")
	put := func(id, incarnation, cluster string, addr string, started int64) {
		d.put(entry{Member: Member{NodeID: id, Incarnation: incarnation, ClusterID: cluster, Addr: addr}, gossipAddr: addr, started: started})
	}
	put("a", "new", "ours", simAddr(1), 20)
	put("a", "old", "ours", simAddr(2), 10) // came later, but started earlier
	put("b", "old", "", simAddr(3), 10)
	put("c", "new", "", simAddr(3), 20) // took b's address: b was diskless
	put("d", "x", "theirs", simAddr(4), 10)
	put("self", "0", "ours", simAddr(5), 10)
	var got []string
	for _, m := range d.members() {
		got = append(got, gossipName(m.NodeID, m.Incarnation))
	}
	if diff := cmp.Diff([]string{"a/new", "c/new", "self/1"}, got); diff != "" {
		t.Error(diff)
	}
	d.drop("a/new")
	if addr, _ := d.addrOf("a"); addr != simAddr(2) {
		t.Errorf("after the newer left, a is at %q", addr)
	}
}

// A server that was in sight before it belonged anywhere, and then turns out to be of
// another cluster, is in sight no more.
func TestDirectory_ForgetsWhoTurnsOutToBeForeign(t *testing.T) {
	d := newDirectory(entry{Member: Member{NodeID: nodeID(0)}}, "ours")
	e := entry{Member: Member{NodeID: nodeID(1), Incarnation: "i", SID: "b"}, gossipAddr: "10.0.0.2:7400"}
	name := gossipName(e.NodeID, e.Incarnation)
	if err := d.admit(name, e, nil); err != nil {
		t.Fatal(err)
	}
	d.put(e)
	changed := d.changes()
	e.ClusterID = "theirs"
	if err := d.admit(name, e, nil); !errors.Is(err, errForeign) {
		t.Errorf("admitted: %v", err)
	}
	if got := d.members(); len(got) != 1 {
		t.Errorf("in sight: %v", got)
	}
	select {
	case <-changed:
	default:
		t.Error("nobody was told")
	}
}
