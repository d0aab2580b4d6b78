package node

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pofresh/globalchannel/fsm"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// explanation is what a replica knows of a player and a channel, for somebody who is
// woken up at night.
type explanation struct {
	fsm.Explanation
	name, uid   string
	forgetAfter time.Duration
}

// verdict says why the player is in the channel, or why not.
func (e explanation) verdict() string {
	var seen, parked []string
	for _, p := range e.Places {
		if p.Parked {
			parked = append(parked, p.SID)
		} else {
			seen = append(seen, p.SID)
		}
	}
	switch {
	case len(seen) > 0 && len(parked) > 0:
		return fmt.Sprintf("%q is in %q on %s; and %s", e.uid, e.name, several(seen), e.over(parked))
	case len(seen) > 0:
		return fmt.Sprintf("%q is in %q on %s", e.uid, e.name, several(seen))
	case len(parked) > 0:
		return fmt.Sprintf("%q is in %q only as a parked member: %s%s", e.uid, e.name, e.over(parked), e.elsewhere(", and"))
	}
	return e.absence() + e.elsewhere(", but")
}

// absence is for who is not in the channel.
func (e explanation) absence() string {
	switch {
	case !e.Exists:
		return fmt.Sprintf("there is no channel %q: nobody is in it", e.name)
	case e.Members == 0:
		return fmt.Sprintf("%q has only parked members, %d of them, whose servers' lives are over, and %q is not among them", e.name, e.Parked, e.uid)
	}
	return fmt.Sprintf("%q has %s, and %q is not among them", e.name, counted(e.Members, "member"), e.uid)
}

// elsewhere says where else the player is.
func (e explanation) elsewhere(but string) string {
	var sids, parked []string
	for _, stay := range e.Elsewhere {
		sids = append(sids, fmt.Sprintf("%s (%d)", stay.SID, len(stay.Channels)))
	}
	for _, p := range e.Hidden {
		parked = append(parked, p.SID)
	}
	switch {
	case len(sids) > 0 && len(parked) > 0:
		return fmt.Sprintf("%s is in other channels on %s, and in some as a parked member: %s", but, several(sids), e.over(parked))
	case len(sids) > 0:
		return fmt.Sprintf("%s is in other channels on %s", but, several(sids))
	case len(parked) > 0:
		return fmt.Sprintf("%s is in other channels as a parked member: %s", but, e.over(parked))
	case len(e.Places) > 0:
		return ""
	}
	return fmt.Sprintf("; nor is %q in any other channel: never added, left, or gone with the life of a server", e.uid)
}

// over says what the end of lives means for who is parked there.
func (e explanation) over(sids []string) string {
	is := "the life of " + several(sids) + " is over"
	if len(sids) > 1 {
		is = "the lives of " + several(sids) + " are over"
	}
	return fmt.Sprintf("%s, so no read and no push sees what is there; it comes back if the same process registers again within %v of that end (ForgetAfter), and is dropped otherwise", is, e.forgetAfter)
}

// several names a few of them. Sids may hold what a terminal would obey.
func several(names []string) string {
	const most = 8
	more := ""
	if len(names) > most {
		more = fmt.Sprintf(" and %d more", len(names)-most)
		names = names[:most]
	}
	for i, name := range names {
		if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
			names[i] = strconv.Quote(name)
		}
	}
	return strings.Join(names, ", ") + more
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// places asks those servers whose lives go on how they are.
func (c census) places(ctx context.Context, places []fsm.Place) []*pb.PlayerPlace {
	var out, up []*pb.PlayerPlace
	var subjects []subject
	for _, p := range places {
		s := p.Server
		place := &pb.PlayerPlace{
			Sid: p.SID, Stype: s.SType, Epoch: s.Epoch, Up: s.Up, Parked: p.Parked,
			Session: p.Session, Added: p.Added, Via: s.Via, Addr: s.Addr,
		}
		out = append(out, place)
		switch {
		case !p.Known:
			place.Problem = "never registered: no push goes to it"
		case !s.Up:
			place.Problem = "its life is over: no push goes to it"
		default:
			up = append(up, place)
			subjects = append(subjects, subject{nodeID: s.NodeID, addr: s.Addr, sid: p.SID, incarnation: s.Incarnation})
		}
	}
	for i, f := range c.ask(ctx, subjects) {
		up[i].Answers, up[i].Problem = f.answers(), f.problem
	}
	return out
}
