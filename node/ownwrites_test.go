package node

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pofresh/globalchannel/fsm"
)

func TestOwnWrites_AreWaitedForOnTheirChannels(t *testing.T) {
	var o ownWrites
	o.note(5, 5, []fsm.Op{{Name: "x"}}) // the replica has it
	if got := o.on([]string{"x"}); got != 0 {
		t.Errorf("waits for %d", got)
	}
	o.note(7, 5, []fsm.Op{{Name: "x"}, {Name: "y"}})
	o.note(9, 5, []fsm.Op{{Name: "y"}})
	o.note(8, 5, []fsm.Op{{Name: "y"}})
	for want, names := range map[uint64][]string{7: {"x"}, 9: {"x", "y"}, 0: {"z"}} {
		if got := o.on(names); got != want {
			t.Errorf("%v: waits for %d, want %d", names, got, want)
		}
	}
	o.note(11, 5, []fsm.Op{{Name: ""}}) // a player leaves all
	if got := o.on([]string{"z"}); got != 11 {
		t.Errorf("waits for %d", got)
	}
	for i := range maxOwnNames + 1 {
		o.note(20, 9, []fsm.Op{{Name: fmt.Sprint(i)}})
	}
	if got := o.on([]string{"z"}); got != 20 || len(o.names) > maxOwnNames {
		t.Errorf("waits for %d, knows %d channels", got, len(o.names))
	}
}

func TestPush_DoesNotWaitForWritesOnOtherChannels(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := Start(ctx, Config{SID: "c1", SType: "connector", OnPush: func(context.Context, *Delivery) ([]string, error) { return nil, nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = n.Close() }()
	if err := n.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"world", "other"} {
		if err := n.Add(ctx, name, "alice", "c1"); err != nil {
			t.Fatal(err)
		}
	}
	// Acknowledged by a leader whose followers have not heard of it, as this one.
	n.reader.wrote(n.replica.Index()+1000, fsm.Op{Name: "other"})
	if r, err := n.PushMessage(ctx, "connector", "r", nil, "world", PushOptions{}); err != nil || !r.OK() || r.Members != 1 {
		t.Errorf("%v %+v", err, r)
	}
	if _, err := n.PushMessage(ctx, "connector", "r", nil, "other", PushOptions{Timeout: 50 * time.Millisecond}); !errors.Is(err, ErrReplicaBehind) {
		t.Errorf("on the channel itself: %v", err)
	}
}
