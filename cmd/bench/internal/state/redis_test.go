package state

import (
	"strconv"
	"strings"
	"testing"

	"github.com/pofresh/globalchannel/cmd/bench/internal/redistest"
)

func TestSets_TouchOnlyAnEmptyDatabase(t *testing.T) {
	ctx := t.Context()
	o := tiny().options
	o.Redis, o.RedisDB = redistest.Start(t), 3
	s, err := openSets(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	shape := small.scaled(o.Scale)
	n, all := newNames(shape, 0), shape.draw(1)
	grown, err := s.load(ctx, n, all)
	if err != nil || grown < float64(len(all)*uidBytes) {
		t.Errorf("%d members took %v bytes, %v", len(all), grown, err)
	}
	if keys, err := s.DBSize(ctx).Result(); err != nil || keys != int64(shape.Channels*shape.SIDs) {
		t.Errorf("got %d sets, %v; want one for each channel and server", keys, err)
	}
	if uids, err := s.SMembers(ctx, n.key(0, 0)).Result(); err != nil || len(uids) != shape.PerCell {
		t.Errorf("got members %q, %v; want %d", uids, err, shape.PerCell)
	}

	if other, err := openSets(ctx, o); err == nil || !strings.Contains(err.Error(), "has "+strconv.Itoa(shape.Channels*shape.SIDs)+" keys") {
		t.Errorf("a database with keys: got %v, %v; want an error that tells their number", other, err)
	}
	o.RedisFlush = true
	given, err := openSets(ctx, o)
	if err != nil {
		t.Fatalf("a database that was given away: %v", err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
	if keys, err := given.DBSize(ctx).Result(); err != nil || keys != 0 {
		t.Errorf("left behind: %d sets, %v", keys, err)
	}
	if err := given.close(); err != nil {
		t.Error(err)
	}
}

func TestMembers_BothSidesAreMeasured(t *testing.T) {
	b := tiny()
	b.options.Redis = redistest.Start(t)
	var err error
	if b.sets, err = openSets(t.Context(), b.options); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.sets.close(); err != nil {
			t.Error(err)
		}
	}()
	if err := b.members(t.Context()); err != nil {
		t.Fatal(err)
	}
	for over, ratio := range map[string]string{"members100_per_s_8": "members100_vs_redis_8", "members100_iter_per_s_8": "members100_iter_vs_redis_8"} {
		want := b.samples[over][0] / b.samples["smembers100_per_s_8"][0]
		if got := b.samples[ratio]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %v, want %v", ratio, got, want)
		}
	}
}
