package harness

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pofresh/globalchannel/jepsen_like_test/faultfs"
	"github.com/pofresh/globalchannel/jepsen_like_test/switchnet"
)

// idle stands in for a server that does not answer.
func idle(t *testing.T) Binary {
	t.Helper()
	path := t.TempDir() + "/idle"
	must(t, os.WriteFile(path, []byte("#!/bin/sh\nexec sleep 1000\n"), 0o700))
	return Binary{Path: path}
}

// inPlaces is a cluster of one that was not started, with what this machine has.
func inPlaces(t *testing.T, b Binary) *Cluster {
	t.Helper()
	n, err := switchnet.New(1)
	if err != nil && !errors.Is(err, switchnet.ErrNotHere) {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n != nil {
			must(t, n.Close())
		}
	})
	c, err := NewCluster(b, Options{Dir: t.TempDir(), Servers: []Spec{{SID: "a", Founder: true}}, Network: n, Disks: faultfs.Able() == nil})
	must(t, err)
	t.Cleanup(func() { _ = c.Close() }) // of a test that failed
	return c
}

// A guest finds the founders, who need not find it; it is asked for by its sid alone.
func TestCluster_GuestIsInNoList(t *testing.T) {
	c := inPlaces(t, idle(t))
	g, err := c.Join(Spec{SID: "guest"})
	must(t, err)
	if got, want := joins(g), []string{c.Servers[0].Addr}; !slices.Equal(got, want) || slices.Contains(g.Args(), "--expect") {
		t.Errorf("it is started with %v, and joins %v, want %v", g.Args(), got, want)
	}
	if len(c.Servers) != 1 || slices.Contains(joins(c.Servers[0]), g.Addr) || c.Server("guest") != g {
		t.Errorf("servers %v, of which the first joins %v; the guest is %v", c.Servers, joins(c.Servers[0]), c.Server("guest"))
	}
	if _, err := c.Join(Spec{SID: "guest"}); err == nil {
		t.Error("it joined twice")
	}
	g.Kill()
	must(t, errors.Join(g.Move(), g.Start(), c.Close()))
	if code, err := g.process.Wait(bounded(t)); code != -1 || err != nil {
		t.Errorf("after Close: exit code %d, %v", code, err)
	}
}

func TestCluster_GuestThatEndsByItselfIsTold(t *testing.T) {
	c := inPlaces(t, shell()) // which knows no agent
	g, err := c.Join(Spec{SID: "guest"})
	must(t, err)
	if _, err := g.process.Wait(bounded(t)); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err == nil || !strings.Contains(err.Error(), "guest ended by itself") {
		t.Errorf("got %v", err)
	}
}

// What a guest had is another's: machine, file system and directory.
func TestCluster_NothingIsLeftOfAGuest(t *testing.T) {
	c := inPlaces(t, idle(t))
	defer func() { must(t, c.Close()) }()
	for range 3 {
		g, err := c.Join(Spec{SID: "guest"})
		must(t, err)
		must(t, os.WriteFile(g.Dir+"/file", []byte("content"), 0o600))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Decommission(ended, g); err == nil {
			t.Error("nobody was asked, and it left")
		}
		if c.Server("guest") != g {
			t.Error("it did not leave, and is gone")
		}
		g.Kill()
		must(t, c.bury(g))
		if _, err := os.Stat(g.Dir); !os.IsNotExist(err) || c.Server("guest") != nil {
			t.Errorf("its directory: %v; it is %v", err, c.Server("guest"))
		}
		mounts, err := os.ReadFile("/proc/mounts")
		if err == nil && strings.Contains(string(mounts), g.Dir) {
			t.Errorf("it is still mounted: %s", mounts)
		}
		if c.network != nil && c.network.Within("guest", func() error { return nil }) == nil {
			t.Error("its machine is there")
		}
	}
	dir := t.TempDir()
	must(t, c.WriteLogs(dir))
	if _, err := os.Stat(dir + "/guest.log"); err != nil {
		t.Errorf("its log: %v", err)
	}
}
