package memnet

import (
	"errors"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNet_NamesAndServicesAreLookedUpAndDialled(t *testing.T) {
	n := New()
	p := n.Host(a).Process()
	notFound := func(err error) bool {
		var dns *net.DNSError
		return errors.As(err, &dns) && dns.IsNotFound
	}
	if _, err := p.LookupNetIP(t.Context(), "ip", "b.example"); !notFound(err) {
		t.Errorf("unknown host: %v", err)
	}
	if _, _, err := p.LookupSRV(t.Context(), "", "", "svc"); !notFound(err) {
		t.Errorf("unknown service: %v", err)
	}
	n.SetName("b.example", b, c)
	n.SetService("svc", net.SRV{Target: "b.example.", Port: 7400})
	ips, err := p.LookupNetIP(t.Context(), "ip", "b.example")
	if err != nil || len(ips) != 2 || ips[0].String() != b {
		t.Errorf("%v, %v", ips, err)
	}
	_, records, err := p.LookupSRV(t.Context(), "", "", "svc")
	if diff := cmp.Diff([]*net.SRV{{Target: "b.example.", Port: 7400}}, records); diff != "" || err != nil {
		t.Error(err, diff)
	}
	l, err := n.Host(b).Listen("tcp", ":7400")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := p.DialContext(t.Context(), "tcp", "b.example:7400")
	if err != nil {
		t.Fatal(err)
	}
	near.Close()
	n.SetName("b.example")
	if _, err := p.DialContext(t.Context(), "tcp", "b.example:7400"); !notFound(err) {
		t.Errorf("dial a name that is gone: %v", err)
	}
}
