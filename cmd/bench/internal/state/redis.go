package state

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	redisTimeout = 30 * time.Second
	redisPiped   = 1000 // commands in a pipeline
)

// sets are those of Redis: one for each channel and server, as the ancestor of this
// project keeps them.
type sets struct {
	*redis.Client
	version string
}

// openSets refuses a database that is not empty, unless the user gave it away.
func openSets(ctx context.Context, o Options) (*sets, error) {
	s := &sets{Client: redis.NewClient(&redis.Options{
		Addr: o.Redis, DB: o.RedisDB, PoolSize: callers,
		DialTimeout: redisTimeout, ReadTimeout: redisTimeout, WriteTimeout: redisTimeout,
	})}
	size, err := s.DBSize(ctx).Result()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ask Redis at %s: %w", o.Redis, err), s.Client.Close())
	}
	if size > 0 && !o.RedisFlush {
		return nil, errors.Join(fmt.Errorf("database %d of Redis at %s has %d keys and would be emptied: give another --redis-db, or --redis-flush", o.RedisDB, o.Redis, size), s.Client.Close())
	}
	if s.version, err = s.field(ctx, "server", "redis_version"); err != nil {
		return nil, errors.Join(err, s.Client.Close())
	}
	return s, nil
}

// field finds a line "name:value" in what Redis tells of itself.
func (s *sets) field(ctx context.Context, section, name string) (string, error) {
	text, err := s.Info(ctx, section).Result()
	if err != nil {
		return "", fmt.Errorf("ask Redis for %s: %w", name, err)
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("ask Redis for %s: it does not tell", name)
}

func (s *sets) used(ctx context.Context) (float64, error) {
	text, err := s.field(ctx, "memory", "used_memory")
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(text, 64)
}

// load makes the sets of these memberships, each by a command of its own, and
// returns by how much used_memory grew.
func (s *sets) load(ctx context.Context, n *names, all []membership) (float64, error) {
	if err := s.FlushDB(ctx).Err(); err != nil {
		return 0, fmt.Errorf("empty Redis: %w", err)
	}
	before, err := s.used(ctx)
	if err != nil {
		return 0, err
	}
	pipe := s.Pipeline()
	for i, m := range all {
		pipe.SAdd(ctx, n.key(m.channel, m.sid), n.uid(m.player))
		if i+1 < len(all) && pipe.Len() < redisPiped {
			continue
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return 0, fmt.Errorf("load Redis: %w", err)
		}
	}
	after, err := s.used(ctx)
	return after - before, err
}

// close empties the database.
func (s *sets) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), redisTimeout)
	defer cancel()
	return errors.Join(s.FlushDB(ctx).Err(), s.Client.Close())
}
