package ancestor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/pofresh/globalchannel/cmd/bench/internal/ancestor/ancestorpb"
)

const (
	prefix  = "globalchannel-bench:" // of all keys that are written, and removed at the end
	timeout = 30 * time.Second       // of everything that Redis is asked
	piped   = 1000                   // members, or keys, in a command

	changePool = 4
)

// Frontend is where a frontend serves.
type Frontend struct {
	SID  string `json:"sid"`
	Addr string `json:"addr"`
}

// Options say what a client connects to.
type Options struct {
	Redis     string // host:port
	Pool      int    // connections to it, at most
	Frontends []Frontend
	Dial      func(ctx context.Context, network, address string) (net.Conn, error) // nil: the real one
}

// Client pushes. It is safe for concurrent use.
type Client struct {
	redis   *redis.Client
	changes *redis.Client // for those who change channels: they are no part of the pusher, and do not wait for its connections
	peers   []peer

	mu   sync.Mutex // guards keys
	keys map[string]bool
}

// peer is a frontend, connected to for good.
type peer struct {
	sid  string
	conn *grpc.ClientConn
	ancestorpb.FrontendClient
}

// Dial returns once Redis answers; frontends are connected to with the first push.
func Dial(ctx context.Context, o Options) (*Client, error) {
	c := &Client{redis: connect(o, o.Pool), changes: connect(o, changePool), keys: make(map[string]bool)}
	if err := c.redis.Ping(ctx).Err(); err != nil {
		return nil, errors.Join(fmt.Errorf("ask Redis at %s: %w", o.Redis, err), c.Close())
	}
	dial := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if o.Dial != nil {
		dial = append(dial, grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return o.Dial(ctx, "tcp", addr) }))
	}
	for _, f := range o.Frontends {
		conn, err := grpc.NewClient("passthrough:///"+f.Addr, dial...)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("connect to %s: %w", f.SID, err), c.Close())
		}
		c.peers = append(c.peers, peer{f.SID, conn, ancestorpb.NewFrontendClient(conn)})
	}
	return c, nil
}

func connect(o Options, pool int) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: o.Redis, PoolSize: pool, PoolTimeout: timeout, Dialer: o.Dial,
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout,
	})
}

func key(channel, sid string) string { return prefix + channel + ":" + sid }

// Push returns to how many members it was, when all frontends have answered. It asks
// for all sets in one round trip, as the ancestor's client does with what is asked of it
// at once: that is faster than to ask for each on a connection of its own, by a third
// at 100 members and not at all at 10,000.
func (c *Client) Push(ctx context.Context, channel, route string, msg []byte) (members int, err error) {
	pipe := c.redis.Pipeline()
	sets := make([]*redis.StringSliceCmd, len(c.peers))
	for i, p := range c.peers {
		sets[i] = pipe.SMembers(ctx, key(channel, p.sid))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, fmt.Errorf("members of %s: %w", channel, err)
	}
	errs := make([]error, len(c.peers))
	var all sync.WaitGroup
	for i, p := range c.peers {
		uids := sets[i].Val()
		members += len(uids)
		all.Go(func() { errs[i] = p.push(ctx, route, msg, uids) })
	}
	all.Wait()
	return members, errors.Join(errs...)
}

func (p peer) push(ctx context.Context, route string, msg []byte, uids []string) error {
	if len(uids) == 0 {
		return nil
	}
	reply, err := p.Push(ctx, &ancestorpb.PushRequest{Route: route, Msg: msg, Uids: uids})
	if err != nil {
		return fmt.Errorf("push to %s: %w", p.sid, err)
	}
	if len(reply.Offline) > 0 {
		return fmt.Errorf("push to %s: %d are offline", p.sid, len(reply.Offline))
	}
	return nil
}

// Gather makes the set of a channel's members on a server.
func (c *Client) Gather(ctx context.Context, channel, sid string, uids []string) error {
	k := key(channel, sid)
	c.mu.Lock()
	c.keys[k] = true
	c.mu.Unlock()
	pipe := c.redis.Pipeline()
	pipe.Unlink(ctx, k)
	for len(uids) > 0 {
		n := min(len(uids), piped)
		pipe.SAdd(ctx, k, anys(uids[:n])...)
		uids = uids[n:]
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("gather %s: %w", k, err)
	}
	return nil
}

func anys(texts []string) []any {
	all := make([]any, len(texts))
	for i, s := range texts {
		all[i] = s
	}
	return all
}

// Add adds one member to several channels.
func (c *Client) Add(ctx context.Context, channels []string, sid, uid string) error {
	return c.each(ctx, channels, func(p redis.Pipeliner, channel string) { p.SAdd(ctx, key(channel, sid), uid) })
}

// Leave removes it.
func (c *Client) Leave(ctx context.Context, channels []string, sid, uid string) error {
	return c.each(ctx, channels, func(p redis.Pipeliner, channel string) { p.SRem(ctx, key(channel, sid), uid) })
}

func (c *Client) each(ctx context.Context, channels []string, do func(redis.Pipeliner, string)) error {
	pipe := c.changes.Pipeline()
	for _, channel := range channels {
		do(pipe, channel)
	}
	_, err := pipe.Exec(ctx)
	return err
}

// Info is what Redis tells of itself in a section.
func (c *Client) Info(ctx context.Context, section string) (string, error) {
	return c.redis.Info(ctx, section).Result()
}

// Remove removes the sets that this client gathered.
func (c *Client) Remove(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	keys := make([]string, 0, len(c.keys))
	for k := range c.keys {
		keys = append(keys, k)
	}
	var errs []error
	for len(keys) > 0 {
		n := min(len(keys), piped)
		errs = append(errs, c.redis.Unlink(ctx, keys[:n]...).Err())
		keys = keys[n:]
	}
	return errors.Join(errs...)
}

// Close ends the connections.
func (c *Client) Close() error {
	var errs []error
	for _, p := range c.peers {
		errs = append(errs, p.conn.Close())
	}
	return errors.Join(append(errs, c.redis.Close(), c.changes.Close())...)
}
