package delivery

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestPatience_IsAContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, end := range map[string]func(*patience){
			"cancelled": func(p *patience) { p.end(context.Canceled) },
			"late":      func(*patience) { <-time.After(time.Minute) },
		} {
			want := map[string]error{"cancelled": context.Canceled, "late": context.DeadlineExceeded}[name]
			p := &patience{deadline: time.Now().Add(time.Minute)}
			ran := make(chan string, 2)
			context.AfterFunc(p, func() { ran <- "first" })
			stop := context.AfterFunc(p, func() { ran <- "stopped" })
			child, cancel := context.WithCancel(p)
			defer cancel()
			if p.Err() != nil || !stop() || stop() {
				t.Errorf("%s: ended before its time, or cannot be stopped once", name)
			}
			end(p)
			<-p.Done()
			<-child.Done()
			synctest.Wait()
			if got := <-ran; got != "first" || len(ran) > 0 {
				t.Errorf("%s: ran %q", name, got)
			}
			for _, ctx := range []context.Context{p, child} {
				if !errors.Is(ctx.Err(), want) || !errors.Is(context.Cause(ctx), want) {
					t.Errorf("%s: %v, want %v", name, ctx.Err(), want)
				}
			}
			p.end(errors.New("again"))
			if !errors.Is(p.Err(), want) {
				t.Errorf("%s: %v after a second end", name, p.Err())
			}
			context.AfterFunc(p, func() { ran <- "late" })
			if got := <-ran; got != "late" {
				t.Errorf("%s: ran %q", name, got)
			}
		}
		unwatched := &patience{deadline: time.Now().Add(time.Second)}
		<-time.After(time.Second)
		if !errors.Is(unwatched.Err(), context.DeadlineExceeded) {
			t.Error("a deadline that nobody waited for has not passed")
		}
		if _, has := new(patience).Deadline(); has || new(patience).Err() != nil {
			t.Error("without a deadline it has one")
		}
	})
}
