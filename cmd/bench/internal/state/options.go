package state

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pofresh/globalchannel/cmd/bench/internal/report"
)

// Options are the flags.
type Options struct {
	Redis      string // host:port; "": not measured
	RedisDB    int
	RedisFlush bool // its database need not be empty
	Dir        string
	Format     report.Format

	Only     []string // parts; all if there is none
	Runs     int
	Scale    float64       // of all sizes; 1: what their names say
	Duration time.Duration // of what is measured for a time
	Rate     int           // writes a second of what is paced
}

const (
	redisDB = 15 // the last one that a Redis has with its default settings
	minRate = 1000 / pacedEvery
)

// defaults are what the project's figures are measured with.
func defaults() Options {
	return Options{RedisDB: redisDB, Runs: 3, Scale: 1, Duration: 5 * time.Second, Rate: 20_000}
}

func (o Options) validate() error {
	for _, name := range o.Only {
		if !slices.Contains(partNames(), name) {
			return fmt.Errorf("--only has %q; %s are known", name, strings.Join(partNames(), ", "))
		}
	}
	switch {
	case o.RedisDB < 0:
		return fmt.Errorf("--redis-db is %d; it is a number from 0 on", o.RedisDB)
	case o.Runs < 1:
		return fmt.Errorf("--runs is %d; at least 1 is needed", o.Runs)
	case o.Scale <= 0 || o.Scale > 1:
		return fmt.Errorf("--scale is %g; it is above 0 and at most 1", o.Scale)
	case o.Duration <= 0:
		return fmt.Errorf("--duration is %v; it is a time above 0", o.Duration)
	case o.Rate < minRate:
		return fmt.Errorf("--rate is %d; at least %d are needed", o.Rate, minRate)
	}
	return nil
}

// wants says whether a part is to be measured.
func (o Options) wants(part string) bool { return len(o.Only) == 0 || slices.Contains(o.Only, part) }
