package server

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pofresh/globalchannel/cmd/bench/internal/load"
)

const (
	redisPrefix   = "globalchannel-bench:" // of all keys that are written, and removed at the end
	redisTimeout  = 30 * time.Second
	redisReserved = 50 // connections left to others
	redisUnlinked = 1000
)

// redisClient does with sets in Redis what a node does.
type redisClient struct {
	*redis.Client
	crowd *load.Crowd
}

func (c *child) openRedis(ctx context.Context, o Redis) (RedisInfo, error) {
	r := &redisClient{crowd: load.NewCrowd(redisPrefix)}
	info := RedisInfo{Pool: o.Outstanding}
	if o.Pool > 0 {
		info.Pool = o.Pool
	}
	probe := redis.NewClient(&redis.Options{Addr: o.Addr, PoolSize: 1})
	settings := map[string]*string{"appendonly": &info.AppendOnly, "appendfsync": &info.AppendFsync, "save": &info.Save}
	for name, value := range settings {
		answer, err := probe.ConfigGet(ctx, name).Result()
		if err != nil {
			return info, errors.Join(fmt.Errorf("ask Redis at %s for %s: %w", o.Addr, name, err), probe.Close())
		}
		*value = answer[name]
	}
	text, err := probe.Info(ctx, "server").Result()
	if err != nil {
		return info, errors.Join(fmt.Errorf("ask Redis at %s: %w", o.Addr, err), probe.Close())
	}
	info.Version = infoField(text, "redis_version")
	if most, err := probe.ConfigGet(ctx, "maxclients").Result(); err == nil {
		if n, err := strconv.Atoi(most["maxclients"]); err == nil {
			info.Pool = min(info.Pool, max(n-redisReserved, 1))
		}
	}
	if err := probe.Close(); err != nil {
		return info, err
	}
	r.Client = redis.NewClient(&redis.Options{
		Addr: o.Addr, PoolSize: info.Pool, PoolTimeout: redisTimeout,
		DialTimeout: redisTimeout, ReadTimeout: redisTimeout, WriteTimeout: redisTimeout,
	})
	return info, c.open(r)
}

// infoField finds a line "name:value".
func infoField(text, name string) string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (r *redisClient) add(ctx context.Context, p load.Pair) error {
	return r.SAdd(ctx, p.Name, p.UID).Err()
}

func (r *redisClient) leave(ctx context.Context, p load.Pair) error {
	return r.SRem(ctx, p.Name, p.UID).Err()
}

func (r *redisClient) fill(ctx context.Context) error {
	if err := r.empty(ctx); err != nil {
		return fmt.Errorf("empty: %w", err)
	}
	return fillWith(ctx, r.crowd, r.add)
}

func (r *redisClient) step(l Load) (func(caller int) load.Step, error) {
	if l.Group > 0 {
		return nil, errors.New("Redis is not measured with groups")
	}
	return func(caller int) load.Step { return r.crowd.AddAndLeave(caller, r.add, r.leave) }, nil
}

func (r *redisClient) look() View { return View{Leads: true} }

// foreignCPU is what the Redis server has spent.
func (r *redisClient) foreignCPU(ctx context.Context) (time.Duration, error) {
	text, err := r.Info(ctx, "cpu").Result()
	if err != nil {
		return 0, fmt.Errorf("ask Redis for its CPU time: %w", err)
	}
	return redisCPU(text)
}

// redisCPU reads it in what Redis tells of its CPU.
func redisCPU(text string) (time.Duration, error) {
	var sum float64
	for _, name := range []string{"used_cpu_user", "used_cpu_sys"} {
		seconds, err := strconv.ParseFloat(infoField(text, name), 64)
		if err != nil {
			return 0, fmt.Errorf("read %s of Redis: %w", name, err)
		}
		sum += seconds
	}
	return time.Duration(sum * float64(time.Second)), nil
}

// tidy removes what the bench wrote.
func (r *redisClient) tidy() error {
	ctx, cancel := context.WithTimeout(context.Background(), redisTimeout)
	defer cancel()
	return r.empty(ctx)
}

func (r *redisClient) close() error {
	return errors.Join(r.tidy(), r.Client.Close())
}

// empty removes the sets that the bench writes.
func (r *redisClient) empty(ctx context.Context) error {
	var errs []error
	keys := r.crowd.Channels()
	for len(keys) > 0 {
		n := min(len(keys), redisUnlinked)
		errs = append(errs, r.Unlink(ctx, keys[:n]...).Err())
		keys = keys[n:]
	}
	return errors.Join(errs...)
}
