package workload

import (
	"context"
	"fmt"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// alternate adds the worker's own member, or removes it if it is there, and waits
// for the answer before the next turn. Nobody else writes that member, so each
// acknowledged turn must have changed something, however often the server had to
// send it: a write that took effect a second time, or late, undoes a turn in
// between, and the next one finds nothing to do. After an unknown outcome nothing
// follows from the next answer: the worker goes on in a new channel.
func (w *linearWorker) alternate(ctx context.Context) {
	turn := history.Write{
		F: history.Add, Channel: fmt.Sprintf("turns-%d-%d", w.number, w.rooms),
		UID: fmt.Sprintf("turns-%d", w.number), SID: w.SIDs[w.number%len(w.SIDs)],
	}
	if w.there {
		turn.F = history.Leave
	}
	switch w.send(ctx, history.Event{F: history.Apply, Group: []history.Write{turn}}) {
	case history.OK:
		w.there = !w.there
		w.turns.add(w.server.ID())
	case history.Unknown:
		w.rooms++
		w.there = false
	}
}
