package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// collect reads reports until r ends.
func collect(r io.Reader) ([]report, error) {
	var all []report
	err := readLines(r, func(r report) error { all = append(all, r); return nil })
	return all, err
}

func TestOutlet_KeepsOrderAndNumbersOperations(t *testing.T) {
	const before, after = 3*maxOps + 7, 5
	r, w := io.Pipe()
	o := newOutlet(w)
	ctx := t.Context()
	go func() {
		for i := range before + after {
			if i == before {
				_ = o.send(ctx, report{Settled: &settled{}})
			}
			_ = o.send(ctx, report{Ops: []operation{{Kind: join, UID: fmt.Sprint(i), Outcome: acknowledged}}})
		}
		_ = o.Close()
		_ = w.Close()
	}()
	all, err := collect(r)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	var seq uint64
	var settledAt uint64
	for _, rep := range all {
		if rep.Settled != nil {
			settledAt = seq
			if rep.Settled.Ops != seq {
				t.Errorf("settled says %d operations, %d came before it", rep.Settled.Ops, seq)
			}
		}
		for _, op := range rep.Ops {
			seq++
			if op.Seq != seq || op.UID != fmt.Sprint(seq-1) {
				t.Fatalf("operation %d of %q at place %d", op.Seq, op.UID, seq)
			}
		}
	}
	if seq != before+after || settledAt != before {
		t.Errorf("%d operations, settled after %d; want %d, %d", seq, settledAt, before+after, before)
	}
}

// A stopped demo (Ctrl-Z) reads nothing: players wait, with a way out, and memory
// stays bounded.
func TestOutlet_HoldsUpSendersWhileNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		o := newOutlet(w)
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("the player leaves")
		sent := 0
		result := make(chan error, 1)
		go func() {
			for {
				if err := o.send(ctx, report{Players: 1}); err != nil {
					result <- err
					return
				}
				sent++
			}
		}()
		synctest.Wait()
		if sent > 5*maxOps {
			t.Errorf("%d reports were taken while nobody read", sent)
		}
		cancel(stop)
		if err := <-result; !errors.Is(err, stop) {
			t.Errorf("send = %v, want %v", err, stop)
		}
		_ = r.CloseWithError(io.ErrClosedPipe)
		<-o.done
		if err := o.send(t.Context(), report{Players: 1}); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("send after the reader has gone = %v, want %v", err, io.ErrClosedPipe)
		}
		if err := o.Close(); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("Close = %v, want %v", err, io.ErrClosedPipe)
		}
	})
}

func TestReadLines_NamesWhatIsNoReport(t *testing.T) {
	all, err := collect(strings.NewReader("{\"players\":3}\npanic: oops\n{\"players\":4}\n"))
	if err == nil || !strings.Contains(err.Error(), "panic: oops") {
		t.Errorf("error = %v, want the line itself", err)
	}
	if diff := cmp.Diff([]report{{Players: 3}}, all); diff != "" {
		t.Errorf("before it (-want +got):\n%s", diff)
	}
	if _, err := collect(strings.NewReader(strings.Repeat("x", maxLine+2))); err == nil {
		t.Error("an endless line was accepted")
	}
	// A kill cuts the last line short; what came before it counts.
	all, err = collect(strings.NewReader("{\"players\":3}\n{\"play"))
	if len(all) != 1 || err != nil {
		t.Errorf("a line cut short: %d reports and error %v, want 1 and none", len(all), err)
	}
}
