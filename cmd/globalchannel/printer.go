package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

// pushLine is the shape of one line of listen. Exactly one of Msg and MsgBase64 is set.
type pushLine struct {
	Route     string   `json:"route"`
	Channel   string   `json:"channel"`
	UIDs      []string `json:"uids"`
	Msg       *string  `json:"msg,omitempty"`
	MsgBase64 *string  `json:"msg_base64,omitempty"`
}

// job is a push to print and where to answer it while its stream lives.
type job struct {
	push    *pb.PushDelivery
	ctx     context.Context
	replies chan<- *pb.PushReply
}

// printer is the only writer of stdout, whatever streams come and go: a write
// that hangs cannot be cancelled, and two at once would mix their lines.
type printer struct {
	out     io.Writer
	offline map[string]bool
	fail    context.CancelCauseFunc // a write failed
	jobs    chan job
	quit    chan struct{} // closed by close
	done    chan struct{} // closed when the goroutine has ended
}

func newPrinter(out io.Writer, offline map[string]bool, fail context.CancelCauseFunc) *printer {
	p := &printer{out: out, offline: offline, fail: fail, jobs: make(chan job), quit: make(chan struct{}), done: make(chan struct{})}
	go p.run()
	return p
}

// take hands over a job; false if ctx ended first.
func (p *printer) take(ctx context.Context, j job) bool {
	select {
	case p.jobs <- j:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *printer) run() {
	defer close(p.done)
	for {
		select {
		case <-p.quit:
			return
		case j := <-p.jobs:
			reply, err := p.handle(j.push)
			select {
			case j.replies <- reply:
			case <-j.ctx.Done(): // nobody waits for it any more
			case <-p.quit:
			}
			if err != nil {
				p.fail(err) // after the reply: this ends the stream
				return
			}
		}
	}
}

// handle prints a push and says who is offline. The error is that of writing.
func (p *printer) handle(d *pb.PushDelivery) (*pb.PushReply, error) {
	reply := &pb.PushReply{Id: d.Id}
	if err := printJSON(p.out, newPushLine(d)); err != nil {
		err = fmt.Errorf("print a push: %w", err)
		reply.Error = err.Error()
		return reply, err
	}
	for _, uid := range d.Uids {
		if p.offline[uid] {
			reply.Offline = append(reply.Offline, uid)
		}
	}
	return reply, nil
}

func newPushLine(d *pb.PushDelivery) pushLine {
	line := pushLine{Route: d.Route, Channel: d.Channel, UIDs: list(d.Uids)}
	if utf8.Valid(d.Msg) {
		msg := string(d.Msg)
		line.Msg = &msg
	} else {
		msg := base64.StdEncoding.EncodeToString(d.Msg)
		line.MsgBase64 = &msg
	}
	return line
}

// close stops the printer. It waits a moment and no longer: where nobody reads
// our stdout the write hangs until the process ends, which is next.
func (p *printer) close() {
	close(p.quit)
	select {
	case <-p.done:
	case <-time.After(time.Second):
	}
}
