package fsm_test

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// Snapshots are taken again and again while entries are applied and everything is read.
// Each of them is the state at its index, and a group is seen wholly or not at all.
func TestReplica_SnapshotsUnderWritesAreTheStateAtTheirIndex(t *testing.T) {
	logs := moves(t)
	r := fsm.NewReplica()
	replay(t, r, logs[:3])

	var done atomic.Bool
	var others sync.WaitGroup
	taken := map[uint64][]byte{}
	another := make(chan struct{}) // a snapshot has been taken
	others.Go(func() {
		defer close(another)
		for !done.Load() {
			data := persisted(t, r)
			s, err := fsm.ReadSnapshot(bytes.NewReader(data))
			if err != nil {
				t.Error(err)
				return
			}
			taken[s.Index()] = data
			select {
			case another <- struct{}{}:
			default: // the writer is busy
			}
		}
	})
	others.Go(func() {
		for !done.Load() {
			r.View(func(s *fsm.State) {
				if at := s.ChannelsOf("wanderer"); len(at) > 1 {
					t.Errorf("wanderer is in %v: a move was seen in its middle", at)
				}
				s.Count("room0")
				s.Members("room1").Members()
				s.Contains("room1", "u1")
				s.Channels("", "", 5)
				s.Explain("room0", "wanderer")
				s.PlayersOn("b").UIDs()
			})
			runtime.Gosched() // as the one who takes snapshots does after each piece
		}
	})
	// On a busy machine all could be written before the first snapshot.
	for half := range slices.Chunk(logs[3:], len(logs)/2) {
		replay(t, r, half)
		<-another
	}
	done.Store(true)
	others.Wait()

	straight := fsm.NewReplica()
	for _, l := range logs {
		replay(t, straight, []*raft.Log{l})
		if data, ok := taken[l.Index]; ok && !bytes.Equal(data, persisted(t, straight)) {
			t.Errorf("the snapshot taken at %d is of another state", l.Index)
		}
	}
	_, sum := r.Hash()
	if _, want := straight.Hash(); sum != want || len(taken) == 0 {
		t.Errorf("%d snapshots, hash %s, want %s", len(taken), sum, want)
	}
}

// moves is a log in which a player wanders from channel to channel, in groups, while
// others come and go and a server's life ends and begins.
func moves(t *testing.T) []*raft.Log {
	logs := []*raft.Log{
		logOf(t, 1, entryFound("c", nil)), logOf(t, 2, entryUp(upOf("a", "i"))), logOf(t, 3, entryUp(upOf("b", "i"))),
	}
	a, b, up := gen(2), gen(3), true
	for number := uint64(1); number <= 600; number++ {
		index := logs[len(logs)-1].Index + 1
		if number%50 == 0 {
			if up {
				logs = append(logs, logOf(t, index, entryDown("b", b)))
			} else {
				b = gen(index)
				logs = append(logs, logOf(t, index, entryUp(resuming(upOf("b", "i"), 0))))
			}
			up = !up
			index++
		}
		from, to := fmt.Sprint("room", number%5), fmt.Sprint("room", (number+1)%5)
		ops := batch("a", a, number,
			opAdd(from, fmt.Sprint("u", number%90), "a", a), opLeave(to, fmt.Sprint("u", number%70), "a", a), opAdd(from, fmt.Sprint("v", number%90), "b", b))
		if number%120 == 0 {
			ops.Groups = append(ops.Groups, &fsmpb.Group{Seen: 1, Ops: []*fsmpb.Op{opDestroy(fmt.Sprint("room", number/120%5))}})
		}
		ops.Groups = append(ops.Groups, &fsmpb.Group{Seen: 1, Ops: []*fsmpb.Op{opLeaveAll("wanderer", "a", a), opAdd(to, "wanderer", "a", a)}})
		logs = append(logs, logOf(t, index, entryBatches(ops)))
	}
	return logs
}
