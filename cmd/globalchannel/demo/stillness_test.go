package demo

import (
	"testing"
	"time"
)

func TestStillness_LongestStretchAroundTheKill(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	tests := []struct {
		name       string
		acks       []int
		gap, began int
	}{
		{"begins before the kill", []int{990, 2400, 2410, 2900}, 1410, 990},
		{"out of order, from several processes", []int{2410, 1500, 990, 1010, 2400}, 900, 1500},
		{"an acknowledgement from before that arrives late", []int{2400, 999}, 1401, 999},
		{"none at all", nil, 2100, 900},
		{"none at the end", []int{1000, 1100}, 1900, 1100},
		{"what comes after the end does not count", []int{1000, 2900, 5000}, 1900, 1000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &stillness{from: ms(1000), before: ms(900)}
			for _, at := range tt.acks {
				s.add(ms(at))
			}
			gap, began := s.longest(ms(3000))
			if gap != ms(tt.gap) || began != ms(tt.began) {
				t.Errorf("longest = %v from %v, want %v from %v", gap, began, ms(tt.gap), ms(tt.began))
			}
		})
	}
}
