package fsm_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/pofresh/globalchannel/fsm"
	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// Whatever is asked in one View is of one index, also when an entry has many groups and
// each of them changes something else.
func TestReplica_ViewIsOfOneIndex(t *testing.T) {
	const entries, crowd = 400, 30
	logs := []*raft.Log{logOf(t, 1, entryFound("c", nil)), logOf(t, 2, entryUp(upOf("a", "i")))}
	rooms := []string{"even", "odd"}
	for n := uint64(1); n <= entries; n++ {
		b := &fsmpb.Batch{OriginSid: "a", OriginEpoch: gen(2), Number: n}
		for i := range crowd { // all leave one room, and come into the other: a group for each step
			uid := fmt.Sprint("u", i)
			for _, o := range []*fsmpb.Op{opLeave(rooms[(n+1)%2], uid, "a", gen(2)), opAdd(rooms[n%2], uid, "a", gen(2))} {
				b.Groups = append(b.Groups, &fsmpb.Group{Seen: 1, Ops: []*fsmpb.Op{o}})
			}
		}
		logs = append(logs, logOf(t, n+2, entryBatches(b)))
	}
	r := fsm.NewReplica()
	replay(t, r, logs[:3])

	var done atomic.Bool
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for !done.Load() {
				r.View(func(s *fsm.State) {
					here, there := rooms[s.Index()%2], rooms[(s.Index()+1)%2]
					members, at := s.Members(here).Members(), s.ChannelsOf("u7")
					if len(members) != crowd || s.Count(there) != 0 || s.Contains(there, "u0") || len(at) != 1 || at[0] != here ||
						len(s.PlayersOn("a").UIDs()) != crowd || len(s.Channels("", "", 9)) != 1 {
						t.Errorf("index %d: %d members in %s, %d in %s, u7 is in %v", s.Index(), len(members), here, s.Count(there), there, at)
					}
				})
			}
		})
	}
	replay(t, r, logs[3:])
	done.Store(true)
	readers.Wait()
}
