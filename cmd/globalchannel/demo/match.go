package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/node"
)

const (
	matchPrefix = "match:" // of the channels whose deliveries are checked one by one
	matchSize   = 12       // members at most
	matchPace   = 100 * time.Millisecond
)

// match is one server's game: the server itself puts players of all servers into its
// channel, takes them out and pushes to them, one call after another. So it knows of
// each push to whom it is owed, and reports what it was told of them.
type match struct {
	sid     string
	server  channels
	lives   func() map[string]uint64 // of all servers, by sid
	plan    crowdPlan
	gate    *gate
	out     *outlet
	clock   func() time.Duration
	rnd     *rand.Rand
	members map[delivery]uint64 // added, and no leave called: the life it was added to
	pushed  int
}

// run plays until ctx ends.
func (m *match) run(ctx context.Context) {
	m.members = make(map[delivery]uint64)
	prefix := fmt.Sprintf("%s/%x", m.sid, rand.Uint64()) // of this life: its seed was that of earlier ones, too
	for pause(ctx, matchPace/2+time.Duration(m.rnd.Int64N(int64(matchPace)))) {
		if !m.gate.enter(ctx) {
			return
		}
		switch n := m.rnd.IntN(10); {
		case n < 4 && len(m.members) < matchSize:
			m.add(ctx)
		case n < 5 && len(m.members) > 0:
			m.leave(ctx)
		default:
			m.pushed++
			m.push(ctx, fmt.Sprintf("%s/%d", prefix, m.pushed))
		}
		m.gate.leave()
	}
}

// channel is named for its server.
func (m *match) channel() string { return matchPrefix + m.sid }

func (m *match) add(ctx context.Context) {
	i := m.rnd.IntN(m.plan.Step)
	who := delivery{UID: playerName(i + 1 + m.plan.Step*m.rnd.IntN(m.plan.Count)), SID: sidOf(i)}
	life := m.lives()[who.SID]
	if m.server.Add(ctx, m.channel(), who.UID, who.SID) == nil && life != 0 {
		m.members[who] = life
	}
}

func (m *match) leave(ctx context.Context) {
	for who := range m.members {
		delete(m.members, who)
		_ = m.server.Leave(ctx, m.channel(), who.UID, who.SID) // nothing is owed to him, whatever came of it
		return
	}
}

func (m *match) push(ctx context.Context, msg string) {
	at := m.clock()
	res, err := m.server.PushMessage(ctx, stype, "match", []byte(msg), m.channel(), node.PushOptions{})
	lives := m.lives()
	for who, life := range m.members {
		if lives[who.SID] != life {
			delete(m.members, who) // gone with his server
		}
	}
	if c := m.claim(res, err); len(c.Made)+len(c.Missed)+c.NotMade > 0 {
		c.Msg, c.At = msg, at
		_ = m.out.send(ctx, report{Owed: &c}) // fails only when nobody reads any more
	}
}

// claim is what a push said of those to whom it was owed.
func (m *match) claim(res node.PushResult, err error) (c claim) {
	if err != nil && !errors.Is(err, node.ErrPushFailed) {
		c.NotMade = len(m.members)
		return c
	}
	outcomes := make(map[string]node.Outcome)
	for _, s := range res.Servers {
		outcomes[s.SID] = s.Outcome
	}
	undelivered := slices.Collect(res.Undelivered())
	for who := range m.members {
		outcome, named := outcomes[who.SID]
		switch {
		case named && slices.Contains(undelivered, who.UID):
			c.NotMade++
		case outcome == node.Delivered:
			c.Made = append(c.Made, who)
		default:
			c.Missed = append(c.Missed, who)
		}
	}
	return c
}

// receipts are what this server's handler was handed for players who are connected.
type receipts struct {
	sending sync.Mutex // held while they are sent, which may take a while: who sent last has sent all
	mu      sync.Mutex // guards list
	list    []receipt
}

// wrap notes what a handler is handed, and waits for nothing.
func (r *receipts) wrap(handle node.PushHandler) node.PushHandler {
	return func(ctx context.Context, d *node.Delivery) ([]string, error) {
		offline, err := handle(ctx, d)
		if err == nil && strings.HasPrefix(d.Channel, matchPrefix) {
			r.note(string(d.Msg), slices.DeleteFunc(slices.Collect(d.UIDs()), func(uid string) bool { return slices.Contains(offline, uid) }))
		}
		return offline, err
	}
}

func (r *receipts) note(msg string, uids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, receipt{Msg: msg, UIDs: uids})
}

// report sends those that were not sent yet.
func (r *receipts) report(ctx context.Context, out *outlet) error {
	r.sending.Lock()
	defer r.sending.Unlock()
	r.mu.Lock()
	list := r.list
	r.list = nil
	r.mu.Unlock()
	for part := range slices.Chunk(list, maxOps) {
		if err := out.send(ctx, report{Handed: part}); err != nil {
			return err
		}
	}
	return nil
}
