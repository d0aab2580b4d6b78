package fsm

// draft is a book on top of the state that leaves the state alone. It makes a
// group's later operations see the earlier ones before any of them is real.
// A destroyed channel is one mark, not a walk over its members, and so is a
// player who left all: what was written before the mark, in the state or here,
// no longer counts.
type draft struct {
	state   *State
	step    int // counts the writes into this draft
	written map[key]draftMember
	gone    map[string]int // step at which a channel was destroyed
	allGone int            // step at which all were
	players map[player]*draftPlayer
	tally   *tally // nil: nothing is limited, so nobody counts
}

type draftMember struct {
	session uint64
	absent  bool
	step    int
}

type player struct{ sid, uid string }

type draftPlayer struct {
	left  int      // step at which it left all channels
	names []string // of the channels that it was put into since then; some may have ended, or come twice
}

func newDraft(s *State) *draft {
	return &draft{
		state: s, written: make(map[key]draftMember), gone: make(map[string]int), players: make(map[player]*draftPlayer),
		tally: newTally(s),
	}
}

// known is what the draft itself says of a membership; if nothing, the state's
// word counts.
func (d *draft) known(k key) (session uint64, there, known bool) {
	mark := max(d.gone[k.name], d.allGone)
	if p := d.players[player{k.sid, k.uid}]; p != nil {
		mark = max(mark, p.left)
	}
	if w, ok := d.written[k]; ok && w.step > mark {
		return w.session, !w.absent, true
	}
	return 0, false, mark > 0
}

func (d *draft) member(p *place) (session uint64, there bool) {
	if session, there, known := d.known(p.key()); known {
		return session, there
	}
	var sp spot
	d.state.find(&sp, p)
	return sp.session, sp.there
}

func (p *place) key() key { return key{name: string(p.name), sid: string(p.sid), uid: string(p.uid)} }

func (p *place) player() player { return player{sid: string(p.sid), uid: string(p.uid)} }

func (d *draft) room(p *place) bool { return d.tally == nil || d.tally.room(string(p.name)) }

func (d *draft) put(p *place, session uint64) {
	if d.tally != nil {
		if _, was := d.member(p); !was {
			d.tally.add(string(p.name), 1)
		}
	}
	d.write(p.key(), session)
}

// touch notes nothing: nobody asks a draft.
func (d *draft) touch(*place) {}

func (d *draft) write(k key, session uint64) {
	d.step++
	d.written[k] = draftMember{session: session, step: d.step}
	who := d.player(player{k.sid, k.uid})
	who.names = append(who.names, k.name)
}

func (d *draft) player(p player) *draftPlayer {
	who := d.players[p]
	if who == nil {
		who = new(draftPlayer)
		d.players[p] = who
	}
	return who
}

func (d *draft) remove(p *place) {
	d.step++
	d.written[p.key()] = draftMember{absent: true, step: d.step}
	if d.tally != nil {
		d.tally.add(string(p.name), -1)
	}
}

// each visits the memberships of a player until visit says false; those written
// here may come twice.
func (d *draft) each(p *place, visit func(k key, session uint64) bool) {
	k := p.key()
	who := d.player(p.player())
	for _, k.name = range who.names {
		if session, there, _ := d.known(k); there && !visit(k, session) {
			return
		}
	}
	if who.left > 0 || d.allGone > 0 {
		return
	}
	sp, in := d.state.held(p)
	for _, c := range in {
		k.name = string(c.name())
		if _, _, known := d.known(k); !known && !visit(k, d.state.sessionIn(&sp, c)) {
			return
		}
	}
}

func (d *draft) holds(p *place) (any bool) {
	d.each(p, func(key, uint64) bool {
		any = true
		return false
	})
	return any
}

// leaveAll writes those who stay again, behind the mark.
func (d *draft) leaveAll(p *place, session uint64) bool {
	if d.tally != nil {
		d.countLeft(p, session)
	}
	stay := make(map[key]uint64)
	if session != 0 {
		d.each(p, func(k key, held uint64) bool {
			if held > session {
				stay[k] = held
			}
			return true
		})
	}
	d.step++
	who := d.player(p.player())
	who.left, who.names = d.step, nil
	for k, held := range stay {
		d.write(k, held)
	}
	return true
}

// destroy does not know whether there was a channel, and need not: it is never
// refused, and the results of a draft are not kept. So with the other marks.
func (d *draft) destroy(p *place) bool {
	d.step++
	d.gone[string(p.name)] = d.step
	if d.tally != nil {
		d.tally.destroy(string(p.name))
	}
	return true
}

func (d *draft) destroyAll() bool {
	d.step++
	d.allGone = d.step
	if d.tally != nil {
		d.tally.destroyAll()
	}
	return true
}
