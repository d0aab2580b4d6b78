package trial

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"

	"github.com/pofresh/globalchannel/jepsen_like_test/history"
)

// The picture, in pixels: above the faults by name, below them the latency of each
// operation on a scale of powers of ten, at the bottom what was acknowledged and what
// was not over time.
const (
	width, left    = 1400, 70
	bandsTop       = 40
	latencyHeight  = 320
	answersHeight  = 110
	gap            = 40
	fastest, slows = 100 * time.Microsecond, 10 * time.Second
)

// Timeline draws a history as SVG: time goes to the right, each nemesis is a band.
func Timeline(events []history.Event) string {
	end := time.Second
	for _, e := range events {
		end = max(end, e.At)
	}
	p := &picture{end: end}
	bands := hurts(events, end)
	p.latencyTop = bandsTop + 14*len(bands.names) + gap
	p.answersTop = p.latencyTop + latencyHeight + gap
	p.axes()
	p.bands(bands)
	p.operations(events)
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11"><rect width="100%%" height="100%%" fill="white"/>`+"\n%s</svg>\n",
		left+width+30, p.answersTop+answersHeight+gap, p.b.String())
}

type picture struct {
	b                      strings.Builder
	end                    time.Duration
	latencyTop, answersTop int
}

func (p *picture) printf(format string, args ...any) { fmt.Fprintf(&p.b, format+"\n", args...) }

func (p *picture) x(at time.Duration) int {
	return left + int(float64(width)*float64(at)/float64(p.end))
}

// y is where an operation that took d is drawn.
func (p *picture) y(d time.Duration) int {
	d = min(max(d, fastest), slows)
	share := math.Log(float64(d)/float64(fastest)) / math.Log(float64(slows)/float64(fastest))
	return p.latencyTop + latencyHeight - int(share*latencyHeight)
}

func (p *picture) axes() {
	for d := fastest; d <= slows; d *= 10 {
		p.printf(`<line x1="%d" x2="%d" y1="%d" y2="%[3]d" stroke="#ddd"/><text x="%d" y="%d" text-anchor="end">%v</text>`,
			left, left+width, p.y(d), left-6, p.y(d)+4, d)
	}
	const marks = 10
	for i := range marks + 1 {
		at := p.end * time.Duration(i) / marks
		p.printf(`<text x="%d" y="%d" text-anchor="middle">%v</text>`, p.x(at), p.answersTop+answersHeight+16, at.Round(time.Second/10))
	}
	p.printf(`<text x="%d" y="18" font-size="13">faults (bands), latency of each operation (dots), answers over time: <tspan fill="%s">ok</tspan>, <tspan fill="%s">failed</tspan>, <tspan fill="%s">unknown</tspan></text>`,
		left, colours[history.OK], colours[history.Fail], colours[history.Unknown])
}

var colours = map[history.Type]string{history.OK: "#3a78b5", history.Fail: "#c9a227", history.Unknown: "#c23b3b"}

// spans are the faults, by nemesis in the order of their first.
type spans struct {
	names []string
	of    map[string][][2]time.Duration
}

func hurts(events []history.Event, end time.Duration) spans {
	s := spans{of: make(map[string][][2]time.Duration)}
	open := ""
	for _, e := range events {
		switch e.F {
		case history.Hurt:
			open = e.Text
			if s.of[open] == nil {
				s.names = append(s.names, open)
			}
			s.of[open] = append(s.of[open], [2]time.Duration{e.At, end})
		case history.Mended:
			if list := s.of[open]; len(list) > 0 {
				list[len(list)-1][1] = e.At
			}
		}
	}
	return s
}

func (p *picture) bands(s spans) {
	for i, name := range s.names {
		y := bandsTop + 14*i
		for _, span := range s.of[name] {
			x, w := p.x(span[0]), max(p.x(span[1])-p.x(span[0]), 1)
			p.printf(`<rect x="%d" y="%d" width="%d" height="10" fill="#b55"/><rect x="%[1]d" y="%[4]d" width="%[3]d" height="%d" fill="#b55" opacity="0.08"/>`,
				x, y, w, p.latencyTop, p.answersTop+answersHeight-p.latencyTop)
		}
		p.printf(`<text x="%d" y="%d">%s</text>`, left+width-150, y+9, html.EscapeString(name))
	}
}

// operations draws each once where many would lie on one another.
func (p *picture) operations(events []history.Event) {
	began := make(map[int]time.Duration)
	type dot struct {
		x, y int
		of   history.Type
	}
	drawn := make(map[dot]bool)
	counts := make(map[history.Type][]int)
	for _, e := range events {
		switch e.Type {
		case history.Invoke:
			began[e.Op] = e.At
		case history.OK, history.Fail, history.Unknown:
			d := dot{p.x(e.At), p.y(e.At - began[e.Op]), e.Type}
			if !drawn[d] {
				drawn[d] = true
				p.printf(`<rect x="%d" y="%d" width="2" height="2" fill="%s"/>`, d.x, d.y, colours[e.Type])
			}
			if counts[e.Type] == nil {
				counts[e.Type] = make([]int, width/columns+1)
			}
			counts[e.Type][(d.x-left)/columns]++
		}
	}
	p.answers(counts)
}

const columns = 4 // pixels wide

func (p *picture) answers(counts map[history.Type][]int) {
	most := 1
	for i := range width/columns + 1 {
		sum := 0
		for _, of := range counts {
			sum += of[i]
		}
		most = max(most, sum)
	}
	for i := range width/columns + 1 {
		y := p.answersTop + answersHeight
		for _, t := range []history.Type{history.OK, history.Fail, history.Unknown} {
			if len(counts[t]) == 0 || counts[t][i] == 0 {
				continue
			}
			h := max(counts[t][i]*answersHeight/most, 1)
			y -= h
			p.printf(`<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`, left+i*columns, y, columns, h, colours[t])
		}
	}
}
