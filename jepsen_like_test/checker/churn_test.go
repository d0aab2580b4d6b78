package checker_test

import (
	"fmt"
	"math/rand/v2"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// churning is a cluster that does what is promised, one step after another, while its
// servers die, stand still and come back. It keeps the history that its clients and
// somebody who lists the servers would write.
type churning struct {
	*story
	rnd     *rand.Rand
	index   uint64
	members map[history.Member]map[string]bool // to the channels
	servers []*churningServer
	calls   []*churningCall
	limit   int // of operations
}

type churningServer struct {
	sid          string
	start        int
	first, epoch uint64 // of the row of its process, and of its last life
	up           bool
	runs         bool
}

type churningCall struct {
	e     history.Event
	done  bool // it took effect, or was refused
	vain  bool // it will have none
	type_ history.Type
	end   func(history.Type, func(*history.Event)) *story
}

func churn(n int) *story {
	c := &churning{story: new(story), rnd: rand.New(rand.NewPCG(1, uint64(n))), index: 1, members: make(map[history.Member]map[string]bool), limit: n}
	for _, sid := range []string{"a", "b", "c", "d"} {
		s := &churningServer{sid: sid}
		c.servers = append(c.servers, s)
		c.begin(s)
	}
	for c.op < n {
		c.step()
	}
	for len(c.calls) > 0 {
		c.proceed(0)
	}
	return c.story
}

func (c *churning) step() {
	switch k := c.rnd.IntN(1000); {
	case k < 6:
		c.hurt(c.servers[c.rnd.IntN(len(c.servers))])
	case k < 60:
		c.list()
	case len(c.calls) < 16 && k < 500:
		c.invoke()
	case len(c.calls) > 0:
		c.proceed(c.rnd.IntN(len(c.calls)))
	}
}

func (c *churning) begin(s *churningServer) {
	s.start++
	c.note(history.Event{F: history.Started, Via: s.sid, Start: s.start})
	c.register(s, false)
}

// register begins a life; the one before may be over or not.
func (c *churning) register(s *churningServer, resumed bool) {
	c.index++
	s.epoch, s.up, s.runs = c.index, true, true
	if !resumed {
		s.first = s.epoch
		for m := range c.members {
			if m.SID == s.sid {
				delete(c.members, m)
			}
		}
	}
	c.note(history.Event{F: history.Life, SID: s.sid, Epoch: s.epoch, Index: s.epoch, Start: s.start})
}

// hurt is what happens next to a server: its life ends, or it is killed; if it is
// over or dead, it comes back.
func (c *churning) hurt(s *churningServer) {
	switch {
	case s.up && c.rnd.IntN(2) == 0 || !s.runs && s.up:
		c.index++
		s.up = false
	case s.up:
		s.runs = false // killed; its life goes on
		if c.rnd.IntN(2) == 0 {
			c.begin(s)
		}
	case !s.runs || c.rnd.IntN(3) == 0:
		c.begin(s)
	default:
		c.register(s, true)
	}
}

func (c *churning) list() {
	lives := make(map[string]uint64)
	for _, s := range c.servers {
		if s.up {
			lives[s.sid] = s.epoch
		}
	}
	c.note(history.Event{F: history.Listed, Via: "d", Index: c.index, Lives: lives})
}

func (c *churning) invoke() {
	via, on := c.servers[c.rnd.IntN(len(c.servers))], c.servers[c.rnd.IntN(3)]
	if !via.runs && c.rnd.IntN(30) > 0 { // who finds nobody there waits
		return
	}
	e := history.Event{F: history.Read, Via: via.sid, Channel: fmt.Sprint("room", c.rnd.IntN(4)), Linearizable: true}
	if k := c.rnd.IntN(10); k < 6 {
		e.F, e.Linearizable, e.UID, e.SID = history.Add, false, fmt.Sprint("u", c.rnd.IntN(3)), on.sid
		if k < 2 {
			e.F = history.Leave
		}
		e.Epoch = on.epoch
	}
	call := &churningCall{e: e, vain: c.rnd.IntN(100) == 0}
	call.end = c.open(e)
	c.calls = append(c.calls, call)
}

// proceed lets a call take effect, or answers it.
func (c *churning) proceed(i int) {
	call := c.calls[i]
	if !call.done && !call.vain {
		if s := c.server(call.e.Via); s.runs && !s.up && c.op < c.limit && c.rnd.IntN(50) > 0 {
			return // it waits for its next life
		}
		call.done = true
		c.effect(call)
		return
	}
	switch {
	case call.vain:
		call.end(history.Unknown, nil)
	case call.type_ == history.OK && call.e.F != history.Read && c.rnd.IntN(60) == 0:
		call.end(history.Unknown, nil)
	default:
		call.end(call.type_, func(e *history.Event) { e.Index, e.Members = call.e.Index, call.e.Members })
	}
	c.calls = append(c.calls[:i], c.calls[i+1:]...)
}

func (c *churning) server(sid string) *churningServer {
	for _, s := range c.servers {
		if s.sid == sid {
			return s
		}
	}
	panic(sid)
}

func (c *churning) effect(call *churningCall) {
	e := &call.e
	call.type_ = history.OK
	if e.F == history.Read {
		e.Index = c.index
		for m, in := range c.members {
			if in[e.Channel] && c.server(m.SID).up {
				e.Members = append(e.Members, m)
			}
		}
		return
	}
	via, on, m := c.server(e.Via), c.server(e.SID), history.Member{UID: e.UID, SID: e.SID}
	if !via.up || !via.runs {
		call.vain = true
		return
	}
	means := on.first <= e.Epoch
	switch {
	case e.F == history.Add && (!means || !on.up), e.F == history.Leave && !means && c.members[m][e.Channel]:
		call.type_ = history.Fail
		return
	case e.F == history.Add && c.members[m] == nil:
		c.members[m] = make(map[string]bool)
		fallthrough
	case e.F == history.Add:
		c.members[m][e.Channel] = true
	default:
		delete(c.members[m], e.Channel)
	}
	c.index++
	e.Index = c.index
}
