package transport

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestOpen_NamesTheBadFieldAndWhatWouldBeRight(t *testing.T) {
	cases := map[string]struct {
		change func(*Options)
		field  string
		want   string
	}{
		"no port":                 {func(o *Options) { o.Listen = "127.0.0.1" }, "Listen", "HOST:PORT"},
		"port too large":          {func(o *Options) { o.Listen = "127.0.0.1:65536" }, "Listen", "0 to 65535"},
		"named port":              {func(o *Options) { o.Listen = "127.0.0.1:http" }, "Listen", "0 to 65535"},
		"host with a space":       {func(o *Options) { o.Listen = "a b:1" }, "Listen", "name or an IP"},
		"wildcard 4":              {func(o *Options) { o.Listen = "0.0.0.0:0" }, "Listen", "set Advertise"},
		"wildcard 6":              {func(o *Options) { o.Listen = "[::]:0" }, "Listen", "set Advertise"},
		"wildcard mapped":         {func(o *Options) { o.Listen = "[::ffff:0.0.0.0]:0" }, "Listen", "set Advertise"},
		"wildcard empty":          {func(o *Options) { o.Listen = ":0" }, "Listen", "set Advertise"},
		"advertised port 0":       {func(o *Options) { o.Advertise = "10.0.0.5:0" }, "Advertise", "port 0 cannot be dialled"},
		"advertised wildcard":     {func(o *Options) { o.Advertise = "0.0.0.0:7400" }, "Advertise", "10.0.0.5:7400"},
		"advertised no host":      {func(o *Options) { o.Advertise = ":7400" }, "Advertise", "10.0.0.5:7400"},
		"advertised multicast":    {func(o *Options) { o.Advertise = "224.0.0.1:7400" }, "Advertise", "multicast"},
		"advertised broadcast":    {func(o *Options) { o.Advertise = "255.255.255.255:7400" }, "Advertise", "multicast"},
		"advertised no port":      {func(o *Options) { o.Advertise = "10.0.0.5" }, "Advertise", "HOST:PORT"},
		"short secret":            {func(o *Options) { o.Secret = []byte("too short") }, "Secret", "at least 16"},
		"no node id":              {func(o *Options) { o.NodeID = "" }, "NodeID", "UUID"},
		"node id with @":          {func(o *Options) { o.NodeID = "a@b" }, "NodeID", "without @"},
		"node id too long":        {func(o *Options) { o.NodeID = strings.Repeat("a", 129) }, "NodeID", "1 to 128"},
		"node id not ASCII":       {func(o *Options) { o.NodeID = "ä" }, "NodeID", "ASCII"},
		"negative MaxConns":       {func(o *Options) { o.MaxConns = -1 }, "MaxConns", "positive"},
		"negative timeout":        {func(o *Options) { o.HandshakeTimeout = -time.Second }, "HandshakeTimeout", "positive"},
		"PKI without certificate": {func(o *Options) { o.TLS = &tls.Config{} }, "TLS", "certificate for both ends"},
		"PKI without roots":       {func(o *Options) { o.TLS = &tls.Config{Certificates: make([]tls.Certificate, 1)} }, "TLS", "RootCAs"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := Options{NodeID: "n1", Listen: "127.0.0.1:0"}
			c.change(&o)
			p, err := Open(o)
			if err == nil {
				t.Fatalf("Open succeeded at %s", errors.Join(p.Close()))
			}
			bad, ok := errors.AsType[*OptionError](err)
			if !ok {
				t.Fatalf("Open: %v, want an *OptionError", err)
			}
			if bad.Field != c.field || !strings.Contains(err.Error(), c.field) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Open: %q, want field %s and %q", err, c.field, c.want)
			}
			if strings.Contains(err.Error(), "too short") {
				t.Errorf("the secret is printed: %q", err)
			}
		})
	}
}

func TestOpen_WildcardWithAdvertise(t *testing.T) {
	p := open(t, Options{NodeID: "n1", Listen: "0.0.0.0:0", Advertise: "server-1.example:7400"})
	if got, want := p.Addr(), "server-1.example:7400"; got != want {
		t.Errorf("Addr = %s, want %s", got, want)
	}
}

func TestOpen_TakenPortIsAnErrorThatNamesIt(t *testing.T) {
	taken := open(t, Options{NodeID: "n1"})
	_, err := Open(Options{NodeID: "n2", Listen: taken.Addr()})
	if err == nil || !strings.Contains(err.Error(), taken.Addr()) {
		t.Errorf("Open: %v, want an error that names %s", err, taken.Addr())
	}
}

func TestDialClient_RefusesAShortSecret(t *testing.T) {
	_, err := DialClient(t.Context(), "127.0.0.1:1", []byte("short"), nil)
	if bad, ok := errors.AsType[*OptionError](err); !ok || bad.Field != "Secret" {
		t.Errorf("DialClient: %v, want an *OptionError about Secret", err)
	}
}
