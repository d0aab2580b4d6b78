package switchnet

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// victimVariable makes a copy of this test's process one that is killed.
const victimVariable = "SWITCHNET_VICTIM"

// victim has a network and says which until it is killed.
func victim() {
	n, err := New(1)
	if err == nil {
		_, err = n.Attach("a")
	}
	fmt.Println(n.byName[Clients].label, err)
	select {}
}

func there(device string) bool {
	_, err := net.InterfaceByName(device)
	return err == nil
}

func TestNetwork_NothingIsLeftAfterClose(t *testing.T) {
	n, _ := newNetwork(t, "a")
	device := n.byName[Clients].label
	if !there(device) {
		t.Fatalf("no device %s", device)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if there(device) {
		t.Errorf("%s is still there", device)
	}
	if err := n.Close(); err != nil {
		t.Errorf("the second time: %v", err)
	}
	if _, err := n.Attach("b"); err == nil {
		t.Error("a machine was attached to a closed network")
	}
}

// A process that is killed, as go test does after its timeout, can't clean up.
func TestNetwork_NothingIsLeftOfAKilledProcess(t *testing.T) {
	newNetwork(t) // or skip
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimVariable+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	device, problem, _ := strings.Cut(strings.TrimSpace(line), " ")
	if err != nil || problem != "<nil>" || !there(device) {
		t.Errorf("the other process said %q, %v; device is there: %v", line, err, there(device))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	for began := time.Now(); there(device); <-time.After(time.Millisecond) {
		if time.Since(began) > soon {
			t.Fatalf("%s is still there", device)
		}
	}
}
