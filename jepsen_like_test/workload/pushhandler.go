package workload

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// PushHandler is that of one process of a frontend: it notes what it is handed. Mostly it
// is quick, now and then slow. Ghosts are never online.
type PushHandler struct {
	sid     string
	start   int
	alive   func(note func()) bool
	history *history.Recorder

	mu  sync.Mutex // guards rnd
	rnd *rand.Rand
}

// NewPushHandler makes one for process start of sid. alive runs note unless the process
// is dead.
func NewPushHandler(sid string, start int, alive func(note func()) bool, h *history.Recorder, rnd *rand.Rand) *PushHandler {
	return &PushHandler{sid: sid, start: start, alive: alive, history: h, rnd: rnd}
}

// slowest is what a handler takes at most.
const slowest = 4 * time.Second

// Handle notes a push. The answer is due after a while.
func (h *PushHandler) Handle(channel, from string, msg []byte, uids []string) (offline []string, after time.Duration) {
	if channel == reachable {
		return nil, 0
	}
	uids = slices.Sorted(slices.Values(uids))
	for _, uid := range uids {
		if strings.HasPrefix(uid, "ghost") {
			offline = append(offline, uid)
		}
	}
	h.alive(func() {
		h.history.Note(history.Event{
			F: history.Handed, Via: h.sid, Start: h.start, Channel: channel, From: from,
			Msg: nameOf(msg), Sum: sum(msg), UIDs: uids, Offline: offline,
		})
	})
	return offline, h.slow()
}

func (h *PushHandler) slow() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch h.rnd.IntN(60) {
	case 0:
		return time.Duration(h.rnd.Int64N(int64(slowest)))
	case 1, 2, 3, 4:
		return time.Duration(h.rnd.IntN(50)) * time.Millisecond
	}
	return 0
}

func nameOf(msg []byte) string {
	name, _, _ := bytes.Cut(msg, []byte{0})
	return strings.ToValidUTF8(string(name), "?")
}
