package fsm

import (
	"hash/maphash"
	"sync"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
	"github.com/pofresh/globalchannel/fsm/internal/compact"
)

// State is the replicated state: settings, lives of servers, channels. It is a
// value machine. Whoever applies the same entries at the same indexes gets the same
// State and the same Results, whatever the machine or the time.
//
// One goroutine applies, and nobody reads meanwhile but captures, and Reads beside an entry;
// Replica sees to that. While there is any of them, both sides lock the shards that they look at.
type State struct {
	index      uint64 // of the last entry that took effect
	clusterID  string // "" before Found
	generation uint32
	level      uint32 // version of the entries that are written; see Level
	forgotten  uint64 // dead servers were dropped up to this index
	settings   *fsmpb.Settings

	settingsIndex uint64 // of the last SetSettings; 0: as founded
	settingsID    string // its id

	servers map[string]*server // by sid, ended lives too
	records uint64             // counts changes of server records; not replicated
	halted  error

	identity *identity // for Stamp

	*tables
	gate sync.Locker // keeps out the reads beside which an entry is applied; nil: there are none

	_ cacheLine // above is what reads look at, below what each operation changes

	count   count
	garbage garbage
	warmth  warmth
	beside  beside

	capture *capture // that was begun last; see there
	pins    pins
}

// cacheLine keeps what a reader looks at away from what the writer changes meanwhile: they
// would wait for each other's memory.
type cacheLine [64]byte

// tables are the channels and players, in shards, each with its lock. Lock order:
// players, then channels, each by number.
type tables struct {
	players  [shards]*players
	channels [shards]*channels
	order    *order
	sids     *sids
	seed     maphash.Seed // of all texts
}

const (
	shardBits = 6
	shards    = 1 << shardBits // at most 64: a set of them is one uint64

	// slabs is how many sets of slabs the shards share. One would waste least; a restore
	// writes so many of them at a time.
	slabs = 4
)

// memory is what some shards share: one goroutine writes to all of them.
type memory struct{ texts, ways, cells compact.Slab }

func newTables(seed maphash.Seed) *tables {
	t := &tables{order: newOrder(), sids: newSIDs(), seed: seed}
	mems := new([slabs]memory)
	for i := range shards {
		mem := &mems[i%slabs]
		t.players[i] = &players{shard: uint8(i), texts: compact.NewTexts(&mem.texts, t.seed), mem: &mem.ways}
		t.channels[i] = &channels{names: compact.NewTexts(&mem.texts, t.seed), mem: &mem.cells}
	}
	return t
}

func (t *tables) player(id uint32) (p *players, local uint32) {
	return t.players[id&(shards-1)], id >> shardBits
}

// channel is one that has not been released.
func (t *tables) channel(id uint32) (*channels, *channel) {
	cs := t.channels[id&(shards-1)]
	return cs, cs.byID[id>>shardBits]
}

// uid is borrowed. It may be asked for without the shard's lock, under the lock of a
// channel that the player is in.
func (t *tables) uid(id uint32) []byte {
	p, local := t.player(id)
	return p.texts.Text(local)
}

// server is a record with what exactly-once needs of it as an origin.
type server struct {
	Server
	firstEpoch uint64     // of this incarnation's unbroken row of lives that ends with Epoch
	lastNumber uint64     // of the batches of this life; 0: none yet
	kept       []answered // the last ones up to lastNumber, oldest first; empty if there was none
	parked     int        // of an ended life: how many memberships it had
	purged     bool       // of an ended life: they went at its end

	predecessor *fsmpb.Predecessor // for a registration that comes again; never written to
}

// NewState is the state before the first entry.
func NewState() *State {
	return &State{
		level:    firstLevel,
		settings: new(fsmpb.Settings),
		servers:  make(map[string]*server),
		tables:   newTables(maphash.MakeSeed()),
		identity: new(identity),
	}
}

// epoch of a life that is registered at index.
func (s *State) epoch(index uint64) uint64 { return uint64(s.generation)<<48 | index }

// othersUp says whether a server is up besides origin and those attached to it.
func (s *State) othersUp(origin *server) bool {
	for _, o := range s.servers {
		attached := o.Via == origin.SID && o.ViaEpoch == origin.Epoch
		if o.Up && o.SID != origin.SID && !attached {
			return true
		}
	}
	return false
}
