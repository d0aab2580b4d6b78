package demo

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// assignment is the first line on a child's stdin: which server it is.
type assignment struct {
	SID        string    `json:"sid"`
	SType      string    `json:"stype"`
	Listen     string    `json:"listen"`
	Join       []string  `json:"join,omitempty"`
	Expect     int       `json:"expect,omitempty"`
	DataDir    string    `json:"data_dir"`
	SecretFile string    `json:"secret_file"`
	Epoch      time.Time `json:"epoch"` // zero of the demo's clock
	Seed       uint64    `json:"seed"`
	Crowd      crowdPlan `json:"crowd"`
	Gentle     bool      `json:"gentle,omitempty"`
}

// order is every further line on a child's stdin.
type order struct {
	Do orderKind `json:"do"`
}

type orderKind string

const (
	orderPause  orderKind = "pause"  // start no call, wait for those outstanding, then report settled
	orderCount  orderKind = "count"  // report all that was handed over, then counted
	orderGentle orderKind = "gentle" // go on, slowly
)

// report is one line on a child's stdout. Exactly one field is set.
type report struct {
	Up      *upReport     `json:"up,omitempty"`      // the node has started
	Ready   bool          `json:"ready,omitempty"`   // its life is registered
	Leader  *leaderReport `json:"leader,omitempty"`  // who leads, as this node sees it
	Players int           `json:"players,omitempty"` // all of them have logged in
	Ops     []operation   `json:"ops,omitempty"`
	Owed    *claim        `json:"owed,omitempty"`    // what a match's push was told of those to whom it was owed
	Handed  []receipt     `json:"handed,omitempty"`  // what this server's handler was handed of matches
	Counted bool          `json:"counted,omitempty"` // all that was handed over is reported
	Pushes  *pushSums     `json:"pushes,omitempty"`  // of this life so far
	Shows   *[]string     `json:"shows,omitempty"`   // the sids of which this node's replica shows players
	Settled *settled      `json:"settled,omitempty"` // paused, and nothing outstanding
	Problem *string       `json:"problem,omitempty"` // what the node waits for, in words; empty: nothing
	Failed  string        `json:"failed,omitempty"`  // why the child ends
}

type upReport struct {
	NodeID string `json:"node_id"`
}

type leaderReport struct {
	SID    string `json:"sid,omitempty"`
	NodeID string `json:"node_id,omitempty"`
	Term   uint64 `json:"term"`
}

// delivery is to one player at one server.
type delivery struct {
	UID string `json:"u"`
	SID string `json:"s"`
}

// claim is the report of one push, about those to whom it was owed: added, as the
// pusher was told before, no leave called, and the same life of the server since.
type claim struct {
	Msg     string        `json:"m"` // no other push has the same
	At      time.Duration `json:"at"`
	Made    []delivery    `json:"made,omitempty"`
	NotMade int           `json:"not_made,omitempty"` // reported so
	Missed  []delivery    `json:"missed,omitempty"`   // of whom the report said nothing
}

// receipt is one push as a handler was handed it.
type receipt struct {
	Msg  string   `json:"m"`
	UIDs []string `json:"u"` // who are connected
}

type settled struct {
	Ops uint64 `json:"ops"` // reported in this life
}

// operation is one finished call of a player.
type operation struct {
	Seq     uint64        `json:"n"` // 1, 2, 3... within one life
	Kind    opKind        `json:"k"`
	Channel string        `json:"c"`
	UID     string        `json:"u"`
	Outcome outcome       `json:"o"`
	At      time.Duration `json:"at"` // of the answer, on the demo's clock
	Err     string        `json:"err,omitempty"`
}

type opKind string

const (
	join  opKind = "join"
	leave opKind = "leave"
)

// outcome is what a caller knows afterwards: acknowledged, or one of the three
// classes of errors.
type outcome string

const (
	acknowledged outcome = "ok"
	rejected     outcome = "rejected"
	notSent      outcome = "not sent"
	unknown      outcome = "unknown"
)

// A line of maxOps operations stays far below maxLine.
const (
	maxOps  = 256
	maxLine = 1 << 20
)

// readLines calls f with each line decoded into a T, until the reader ends (nil),
// f fails, or a line is not a T: then something else writes into the pipe. A last
// line without its newline was cut short by a kill and does not count.
func readLines[T any](r io.Reader, f func(T) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), maxLine)
	s.Split(wholeLines)
	for s.Scan() {
		var v T
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			return fmt.Errorf("read %T: %q: %w", v, clip(s.Text(), 80), err)
		}
		if err := f(v); err != nil {
			return err
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("read line: %w", err)
	}
	return nil
}

// wholeLines is bufio.ScanLines but for the rest at the end.
func wholeLines(data []byte, _ bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	return 0, nil, nil
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "..."
}
