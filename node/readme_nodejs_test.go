package node_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pofresh/globalchannel/node"
)

// npmPrefix names a directory in which the README's npm command was run. Without
// it the test runs the command, and is skipped where that cannot be done; with it,
// as in .ci/run, whatever is missing is a failure.
const npmPrefix = "README_NPM_PREFIX"

// The README's client in JavaScript, as it stands there, against a server.
func TestReadme_NodejsClient(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	must(t, err)
	script := regexp.MustCompile("(?s)```js\n(.*?)```").FindSubmatch(readme)
	install := regexp.MustCompile(`(?m)^    npm (install .*)$`).FindSubmatch(readme)
	if script == nil || install == nil {
		t.Fatal("README.md has no JavaScript block, or no npm command for it")
	}
	dir := t.TempDir()
	providePackages(t, dir, strings.Fields(string(install[1])))
	proto, err := os.ReadFile("../transport/globalchannelv1/globalchannel.proto")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "globalchannel.proto"), proto, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "client.mjs"), script[1], 0o600))

	ctx := within(t)
	got := make(chan string, 9)
	n := start(t, node.Config{SID: "connector-1", SType: "connector", OnPush: func(_ context.Context, d *node.Delivery) ([]string, error) {
		got <- fmt.Sprintf("%s in %s to %v: %s", d.Route, d.Channel, slices.Collect(d.UIDs()), d.Msg)
		return nil, nil
	}})
	must(t, n.Ready(ctx))
	client := exec.CommandContext(ctx, "node", "client.mjs", n.Self().Addr)
	client.Dir = dir
	var stderr strings.Builder
	client.Stderr = &stderr
	stdout, err := client.Output()
	if err != nil {
		t.Fatalf("node client.mjs: %v\n%s%s", err, stdout, stderr.String())
	}
	want := "alice is on connector-1\neverybody got it\nconnector-1 OUTCOME_DELIVERED 1 \n"
	if diff := cmp.Diff(want, string(stdout)); diff != "" {
		t.Errorf("the client's output (-want +got):\n%s%s", diff, stderr.String())
	}
	must(t, n.Close()) // no handler runs from here on
	close(got)
	var pushes []string
	for push := range got {
		pushes = append(pushes, push)
	}
	if diff := cmp.Diff([]string{"chat in world to [alice]: hello"}, pushes); diff != "" {
		t.Errorf("the handler's pushes (-want +got):\n%s", diff)
	}
}

// providePackages makes dir a place from which a script can import what npm installs.
func providePackages(t *testing.T, dir string, install []string) {
	t.Helper()
	const modules = "node_modules"
	if prefix := os.Getenv(npmPrefix); prefix != "" {
		must(t, os.Symlink(filepath.Join(prefix, modules), filepath.Join(dir, modules)))
		return
	}
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("the README's Node.js client was not run: %v", err)
		}
	}
	if testing.Short() {
		t.Skip("the README's Node.js client was not run: installing its packages takes seconds")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	// The cache in dir too, so that nothing is left in the home directory.
	npm := exec.CommandContext(ctx, "npm", append(install, "--prefix", dir, "--cache", filepath.Join(dir, "cache"),
		"--fetch-retries", "0", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")...)
	npm.WaitDelay = time.Second // a child that outlives npm keeps the pipe of its output open
	if out, err := npm.CombinedOutput(); err != nil {
		t.Skipf("the README's Node.js client was not run: its packages cannot be installed: %v\n%s", err, out)
	}
}
