package fsm

import "strings"

// textCopy copies many short texts out with few allocations: the copies share one
// string.
type textCopy struct {
	all  strings.Builder
	ends []int
}

func newTextCopy(n int) *textCopy {
	t := &textCopy{ends: make([]int, 0, n)}
	t.all.Grow(16 * n)
	return t
}

func (t *textCopy) add(text []byte) {
	t.all.Write(text)
	t.ends = append(t.ends, t.all.Len())
}

func (t *textCopy) strings() []string {
	if len(t.ends) == 0 {
		return nil
	}
	texts := make([]string, len(t.ends))
	t.each(func(i int, text string) { texts[i] = text })
	return texts
}

// each visits the texts in the order in which they were added.
func (t *textCopy) each(visit func(i int, text string)) {
	all, start := t.all.String(), 0
	for i, end := range t.ends {
		visit(i, all[start:end])
		start = end
	}
}
