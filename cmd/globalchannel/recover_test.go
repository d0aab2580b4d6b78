package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pofresh/globalchannel/transport/ports"
)

// trio is three agents as processes, founders of one cluster.
type trio struct {
	addrs, dirs []string
	more        []string
	procs       []*exec.Cmd
	agents      []*running
}

func startTrio(t *testing.T, more ...string) *trio {
	t.Helper()
	addrs, err := ports.Free(4) // and one for a server that comes later
	if err != nil {
		t.Fatal(err)
	}
	c := &trio{addrs: addrs, more: more, procs: make([]*exec.Cmd, 4), agents: make([]*running, 4)}
	for i := range 4 {
		c.dirs = append(c.dirs, filepath.Join(t.TempDir(), fmt.Sprint("data-", i+1)))
	}
	for i := range 3 {
		c.start(t, i)
	}
	for i := range 3 {
		c.agents[i].stdout.await(t, "ready: ", 1)
	}
	return c
}

// start starts a-1, a-2, a-3, which found the cluster, or a-4, which joins it.
func (c *trio) start(t *testing.T, i int) {
	t.Helper()
	args := []string{
		"agent", "--id", fmt.Sprint("a-", i+1), "--type", "agent", "--data", c.dirs[i], "--listen", c.addrs[i],
		"--join", strings.Join(c.addrs[:3], ","), "--log-level", "warn",
	}
	if i < 3 {
		args = append(args, "--expect", "3")
	}
	c.procs[i], c.agents[i] = program(t, append(args, c.more...)...)
}

func (c *trio) kill(t *testing.T, i int) {
	t.Helper()
	signalTo(t, c.procs[i], syscall.SIGKILL)
	c.agents[i].wait(t)
}

// Two of three servers burn down. The third one's directory becomes a cluster again.
func TestRecover_AClusterGoesOnFromOneDirectory(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"boltdb", "wal"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			c := startTrio(t, "--log-store", store)
			for _, uid := range []string{"alice", "bob"} {
				ask[indexJSON](t, c.addrs[0], "add", "room", uid, "a-1")
			}
			index := ask[indexJSON](t, c.addrs[0], "add", "room", "carol", "a-2").Index
			ask[[]string](t, c.addrs[0], "members", "room", "--min-index", fmt.Sprint(index))
			before := ask[serversJSON](t, c.addrs[0], "servers")

			// As long as it runs nobody else touches its directory.
			r := invoke(t, "recover", "--data", c.dirs[0])
			wantCode(t, r, exitFailure)
			wantParts(t, r.stderr, c.dirs[0], "in use by another process")

			c.kill(t, 0)
			// The other two go on, and may have answered what this one never heard of.
			r = invoke(t, "recover", "--data", c.dirs[0])
			wantCode(t, r, exitFailure)
			wantParts(t, r.stderr, "3 of the 3 voters can be there, which is a majority: start them instead",
				`"I know that 3 of 3 voters can be there and that a second cluster begins"`)
			c.kill(t, 1)
			// With that one, and this one started, there is a majority too.
			r = invoke(t, "recover", "--data", c.dirs[0])
			wantCode(t, r, exitFailure)
			wantParts(t, r.stderr, "2 of the 3 voters can be there")
			c.kill(t, 2)

			old := askRecover(t, "--dry-run", "--data", c.dirs[0])
			if old.NodeID != "" || old.Generation != 2 || old.Role != "voter" || old.Memberships != 3 || old.Lives != 3 || len(old.Others) != 2 || old.LastIndex < index {
				t.Errorf("dry run: %+v", old)
			}
			now := askRecover(t, "--data", c.dirs[0])
			if now.OldNodeID != old.OldNodeID || now.NodeID == "" || now.NodeID == old.OldNodeID || now.Generation != 2 || now.ClusterID != old.ClusterID {
				t.Errorf("recovered: %+v", now)
			}

			c.start(t, 0)
			c.agents[0].stdout.await(t, "a-1 ready: cluster "+old.ClusterID, 1)
			// Everybody's life is over, its own earlier one too.
			if got := ask[[]string](t, c.addrs[0], "members", "room"); len(got) != 0 {
				t.Errorf("members of lives that are over: %v", got)
			}
			servers := ask[serversJSON](t, c.addrs[0], "servers")
			if len(servers.Servers) != 1 || len(servers.Lifeless) != 0 || servers.Servers[0].NodeID != now.NodeID || servers.Servers[0].Role != "voter" {
				t.Fatalf("servers: %+v", servers)
			}
			for _, s := range before.Servers {
				if servers.Servers[0].Epoch <= s.Epoch {
					t.Errorf("epoch %d is not above %d, which %s had", servers.Servers[0].Epoch, s.Epoch, s.ID)
				}
			}
			if again := ask[indexJSON](t, c.addrs[0], "add", "room", "alice", "a-1").Index; again <= old.LastIndex {
				t.Errorf("index %d was there before, the last one was %d", again, old.LastIndex)
			}

			// What is left of the others is refused, with the way out.
			c.start(t, 1)
			if code := c.agents[1].wait(t); code != exitFailure {
				t.Errorf("exit code %d of a server with the old cluster's data, want 1", code)
			}
			wantParts(t, c.agents[1].stderr.String(), "refused", "recovered without server a-2", "generation 1 and not 2", "delete all of its data directory")

			// A new server, and an old one without its data, come in and get all there is.
			if err := os.RemoveAll(c.dirs[2]); err != nil {
				t.Fatal(err)
			}
			for _, i := range []int{2, 3} {
				c.start(t, i)
				c.agents[i].stdout.await(t, "ready: cluster "+old.ClusterID, 1)
				w := ask[indexJSON](t, c.addrs[i], "add", "room", fmt.Sprint("player-", i), fmt.Sprint("a-", i+1))
				if got := ask[[]string](t, c.addrs[i], "members", "room", "--min-index", fmt.Sprint(w.Index)); !slices.Contains(got, "alice") {
					t.Errorf("a-%d shows %v", i+1, got)
				}
			}
			eventually(t, "there are three voters again", func() bool {
				voters := 0
				for _, s := range ask[serversJSON](t, c.addrs[3], "servers").Servers {
					if s.Role == "voter" && s.Health == "ok" {
						voters++
					}
				}
				return voters == 3
			})
			// And it survives what it is for.
			c.kill(t, 0)
			c.start(t, 0)
			c.agents[0].stdout.await(t, "a-1 ready", 1)
		})
	}
}

func askRecover(t *testing.T, args ...string) (out recoveryJSON) {
	t.Helper()
	r := invoke(t, append([]string{"recover", "-o", "json"}, args...)...)
	wantCode(t, r, exitOK)
	if err := json.Unmarshal([]byte(r.stdout), &out); err != nil {
		t.Fatalf("%q: %v", r.stdout, err)
	}
	return out
}

func TestRecover_RefusesWhatIsNoDirectoryOfAServer(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	waiting := filepath.Join(dir, "waiting") // of a founder that never saw the others
	agent := launch(t, "agent", "--id", "a", "--type", "agent", "--data", waiting, "--listen", "127.0.0.1:0", "--expect", "3", "--join", "127.0.0.1:1")
	boundAt(t, agent)
	agent.stop(t)
	for path, want := range map[string]string{
		filepath.Join(dir, "nothing"): "does not exist",
		file:                          "is not a directory",
		empty:                         "has no node.json",
		waiting:                       "never was part of a cluster",
	} {
		r := invoke(t, "recover", "--data", path)
		wantCode(t, r, exitFailure)
		wantParts(t, r.stderr, path, want)
	}
	if left, err := os.ReadDir(empty); err != nil || len(left) != 0 {
		t.Errorf("something was made in the empty directory: %v, %v", left, err)
	}
	wantCode(t, invoke(t, "recover"), exitUsage)
}

// A single server needs no recovery, and a replica is second best; both are done only
// if it was said in so many words.
func TestRecover_ForcedInWords(t *testing.T) {
	t.Parallel()
	leader, addr := startAgent(t, "a-1", "agent")
	leader.stdout.await(t, "ready: ", 1)
	dir := filepath.Join(t.TempDir(), "replica")
	replica, _ := startAgent(t, "a-2", "agent", "--join", addr, "--non-voter", "--data", dir)
	replica.stdout.await(t, "ready: ", 1)
	replica.stop(t)
	leader.stop(t)
	r := invoke(t, "recover", "--data", dir)
	wantCode(t, r, exitFailure)
	sentence := "I know that this directory is not a voter's and may lack acknowledged writes"
	wantParts(t, r.stderr, "not a voter's", sentence)
	for _, force := range []string{"yes", "I know", strings.ToLower(sentence)} {
		wantCode(t, invoke(t, "recover", "--data", dir, "--force", force), exitFailure)
	}
	wantCode(t, invoke(t, "recover", "--data", dir, "--force", sentence), exitOK)
	again, addr := startAgent(t, "a-2", "agent", "--data", dir)
	again.stdout.await(t, "a-2 ready: ", 1)
	ask[indexJSON](t, addr, "add", "room", "alice", "a-2")
	again.stop(t)

	r = invoke(t, "recover", "--data", dir)
	wantCode(t, r, exitFailure)
	wantParts(t, r.stderr, "this server is the only voter: start it")
	second := askRecover(t, "--data", dir, "--force", "I know that 1 of 1 voters can be there and that a second cluster begins")
	if second.Generation != 3 {
		t.Errorf("generation %d after the second recovery, want 3", second.Generation)
	}
}
