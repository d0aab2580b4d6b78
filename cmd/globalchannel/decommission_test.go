package main

import (
	"strings"
	"testing"
)

// A voter of four leaves for good; what is left has no trace of it, and its directory is of no use.
func TestDecommission_TakesAServerOutForGood(t *testing.T) {
	t.Parallel()
	c := startTrio(t)
	c.start(t, 3)
	c.agents[3].stdout.await(t, "ready: ", 1)
	r := invoke(t, "decommission", "a-2", "--addr", c.addrs[0]) // another one, which only knows the way
	wantCode(t, r, exitOK)
	if r.stdout != "a-2 is out of service\n" {
		t.Errorf("%q", r.stdout)
	}
	if code := c.agents[1].wait(t); code != exitOK {
		t.Errorf("exit code %d of the agent, want 0; stderr:\n%s", code, c.agents[1].stderr)
	}
	wantParts(t, c.agents[1].stdout.String(), "a-2 is decommissioned: its data directory is retired")
	for _, i := range []int{0, 2, 3} {
		eventually(t, "the others know", func() bool {
			all := ask[serversJSON](t, c.addrs[i], "servers")
			return len(all.Servers) == 3 && len(all.Lifeless) == 0
		})
	}
	c.start(t, 1)
	if code := c.agents[1].wait(t); code != exitFailure || !strings.Contains(c.agents[1].stderr.String(), "retired") {
		t.Errorf("exit code %d from a retired directory; stderr:\n%s", code, c.agents[1].stderr)
	}
	r = invoke(t, "decommission", "a-2", "--addr", c.addrs[0])
	wantCode(t, r, exitFailure)
	wantParts(t, r.stderr, `no server "a-2" is up`, "remove-server")
}

// Nobody could take the vote of one of three founders: it stays in service.
func TestDecommission_RefusedTheServerGoesOn(t *testing.T) {
	t.Parallel()
	c := startTrio(t)
	r := invoke(t, "decommission", "a-3", "--addr", c.addrs[2])
	wantCode(t, r, exitFailure)
	wantParts(t, r.stderr, "still in service", "2 voters would be left, of at least 3")
	ask[indexJSON](t, c.addrs[2], "add", "room", "alice", "a-3")
}
