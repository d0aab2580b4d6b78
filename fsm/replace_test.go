package fsm_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// logged is a log of so many adds, with gaps for entries that are no commands.
func logged(t *testing.T, adds int, uid string) (all []*raft.Log, get func(uint64, *raft.Log) error) {
	t.Helper()
	all = []*raft.Log{logOf(t, 1, entryFound("cluster", nil)), logOf(t, 2, entryUp(upOf("a", "i")))}
	for i := range uint64(adds) {
		index := 3 + i + i/3
		all = append(all, logOf(t, index, entryBatches(batch("a", gen(2), i+1, opAdd("x", fmt.Sprint(uid, i), "a", gen(2))))))
	}
	return all, func(index uint64, l *raft.Log) error {
		*l = raft.Log{Index: index, Type: raft.LogNoop}
		for _, e := range all {
			if e.Index == index {
				*l = *e
			}
		}
		return nil
	}
}

func copyOf(t *testing.T, r *fsm.Replica) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	if err := r.Copy(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return &b
}

// Whatever the index of the copy, the state is right at the index of the replica, and
// goes on from there.
func TestReplica_ReplaceCatchesUpFromTheLog(t *testing.T) {
	good, get := logged(t, 20, "u")
	bad, _ := logged(t, 20, "v")
	next := good[len(good)-1].Index + 1
	for _, behind := range []int{0, 1, 7, 18} {
		source, r := fsm.NewReplica(), fsm.NewReplica()
		replay(t, source, good[:len(good)-behind])
		replay(t, r, bad)
		changed := r.ServersChanged()
		index, err := r.Replace(t.Context(), copyOf(t, source), get)
		if err != nil || index != next-1 || !isClosed(changed) {
			t.Fatalf("%d behind: index %d, error %v", behind, index, err)
		}
		replay(t, source, good[len(good)-behind:])
		more := []*raft.Log{logOf(t, next, entryBatches(batch("a", gen(2), 21, opAdd("y", "u", "a", gen(2)))))}
		replay(t, source, more)
		replay(t, r, more)
		_, want := source.Hash()
		if _, got := r.Hash(); got != want {
			t.Errorf("%d behind: another state than that of the log", behind)
		}
	}
}

// A copy from beyond this replica has to wait for it: Raft gives it those entries yet.
func TestReplica_ReplaceWaitsForTheIndexOfTheCopy(t *testing.T) {
	inTime := make(chan error, 1)
	good, get := logged(t, 20, "u")
	bad, _ := logged(t, 20, "v")
	source, r := fsm.NewReplica(), fsm.NewReplica()
	replay(t, source, good)
	replay(t, r, bad[:10])
	copied := copyOf(t, source)
	go func() {
		_, err := r.Replace(t.Context(), copied, get)
		inTime <- err
	}()
	for _, l := range bad[10:] {
		r.Apply(l)
	}
	if err := <-inTime; err != nil {
		t.Fatal(err)
	}
	_, want := source.Hash()
	if i, got := r.Hash(); got != want || i != source.Index() {
		t.Error("another state than that of the log")
	}
}

func TestReplica_ReplaceThatFailsChangesNothing(t *testing.T) {
	good, get := logged(t, 20, "u")
	bad, _ := logged(t, 20, "v")
	source := fsm.NewReplica()
	replay(t, source, good[:10])
	whole := copyOf(t, source).Bytes()
	for name, tc := range map[string]struct {
		copied []byte
		get    func(uint64, *raft.Log) error
		want   error
	}{
		"truncated":      {whole[:len(whole)-1], get, fsm.ErrMalformed},
		"not in the log": {whole, func(uint64, *raft.Log) error { return raft.ErrLogNotFound }, raft.ErrLogNotFound},
		"strange entry": {whole, func(i uint64, l *raft.Log) error {
			*l = raft.Log{Index: i, Type: raft.LogCommand, Data: []byte{8, fsm.Version + 1, 0x1a, 0}}
			return nil
		}, fsm.ErrUnknownFormat},
	} {
		t.Run(name, func(t *testing.T) {
			r := fsm.NewReplica()
			replay(t, r, bad)
			_, before := r.Hash()
			if _, err := r.Replace(t.Context(), bytes.NewReader(tc.copied), tc.get); !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			if i, after := r.Hash(); after != before || i != bad[len(bad)-1].Index {
				t.Error("the state has changed")
			}
			replay(t, r, []*raft.Log{logOf(t, 100, entryForget(1))})
		})
	}
}

// Nothing that is applied meanwhile is lost.
func TestReplica_ReplaceBesideApply(t *testing.T) {
	good, get := logged(t, 3000, "u")
	bad, _ := logged(t, 3000, "v")
	source, r := fsm.NewReplica(), fsm.NewReplica()
	replay(t, source, good[:1000])
	replay(t, r, bad[:1000])
	copied := copyOf(t, source)
	done := make(chan error, 1)
	go func() {
		_, err := r.Replace(t.Context(), copied, get)
		done <- err
	}()
	// What is applied to the old state is spoiled, what comes to the new one is not: the
	// log is the same.
	for _, l := range good[1000:] {
		r.Apply(l)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	replay(t, source, good[1000:])
	_, want := source.Hash()
	if i, got := r.Hash(); got != want || i != source.Index() {
		t.Error("another state than that of the log")
	}
}

func TestReplica_CopyNeedsTheLevel(t *testing.T) {
	r := fsm.NewReplica()
	found := entryFound("cluster", nil)
	found.Version = 3
	fsm.ApplyMessage(r, 1, found)
	if err := r.Copy(t.Context(), new(bytes.Buffer)); err == nil {
		t.Error("a copy at level 3")
	}
	fsm.ApplyMessage(r, 2, &fsmpb.Entry{Version: 4, Command: &fsmpb.Entry_Checkpoint{Checkpoint: &fsmpb.Checkpoint{}}})
	copyOf(t, r)
}
