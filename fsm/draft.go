package fsm

// draft is a book on top of the state that leaves the state alone. It makes a
// group's later operations see the earlier ones before any of them is real.
// A destroyed channel is one mark, not a walk over its members: what was
// written before the mark, in the state or here, no longer counts.
type draft struct {
	state   *State
	step    int // counts the writes into this draft
	written map[key]draftMember
	gone    map[string]int // step at which a channel was destroyed
	allGone int            // step at which all were
}

type draftMember struct {
	member
	absent bool
	step   int
}

func newDraft(s *State) *draft {
	return &draft{state: s, written: make(map[key]draftMember), gone: make(map[string]int)}
}

func (d *draft) member(k key) (member, bool) {
	mark := max(d.gone[k.name], d.allGone)
	if w, ok := d.written[k]; ok && w.step > mark {
		return w.member, !w.absent
	}
	if mark > 0 {
		return member{}, false
	}
	return d.state.member(k)
}

func (d *draft) put(k key, m member) {
	d.step++
	d.written[k] = draftMember{member: m, step: d.step}
}

func (d *draft) remove(k key) {
	d.step++
	d.written[k] = draftMember{absent: true, step: d.step}
}

// destroy does not know whether there was a channel, and need not: it is never
// refused, and the results of a draft are not kept.
func (d *draft) destroy(name string) bool {
	d.step++
	d.gone[name] = d.step
	return true
}

func (d *draft) destroyAll() bool {
	d.step++
	d.allGone = d.step
	return true
}
