package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/pofresh/globalchannel/transport"
	pb "github.com/pofresh/globalchannel/transport/globalchannelv1"
)

const (
	defaultAddr    = "127.0.0.1:7400"
	defaultTimeout = 5 * time.Second
	// maxMessage bounds what one message of a server may make this process hold;
	// long answers come as a stream of smaller ones.
	maxMessage = 8 << 20
	// grace is how much longer than the server this side waits where the server
	// was told the time: its report of a timeout is worth more than our own.
	grace = 2 * time.Second
)

// connection is how a client command reaches the public service of a node.
type connection struct {
	addr       string
	secretFile string
	timeout    time.Duration
	tells      bool // a refusal says by itself what to do
	writes     bool // a call without an answer may have taken effect all the same
}

func (c *connection) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&c.addr, "addr", defaultAddr, "host:port of any server of the cluster")
	flags.StringVar(&c.secretFile, "secret-file", "", secretUsage)
	flags.DurationVar(&c.timeout, "timeout", defaultTimeout, "how long to wait for the answer")
}

func (c *connection) validate() error {
	if _, port, err := net.SplitHostPort(c.addr); err != nil || port == "" || port == "0" {
		return wrongUsage("--addr %q is not host:port", c.addr)
	}
	if c.timeout <= 0 {
		return wrongUsage("--timeout is %v; give a time above 0, for example 5s", c.timeout)
	}
	return nil
}

// do runs call against the node, within the timeout plus extra, and explains its error.
func (c *connection) do(cmd *cobra.Command, extra time.Duration, call func(context.Context, pb.GlobalChannelClient) error) error {
	if err := c.validate(); err != nil {
		return err
	}
	secret, err := readSecret(c.secretFile, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), c.timeout+extra)
	defer cancel()
	return c.withClient(ctx, secret, func(client pb.GlobalChannelClient) error {
		if err := call(ctx, client); err != nil {
			return c.explain(cmd.Context(), client, err)
		}
		return nil
	})
}

// withClient dials anew and hangs up again. The timeout bounds the dialling only.
func (c *connection) withClient(ctx context.Context, secret []byte, use func(pb.GlobalChannelClient) error) error {
	dialling, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	conn, err := transport.DialClient(dialling, c.addr, secret, nil)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer conn.Close()
	return use(pb.NewGlobalChannelClient(conn))
}

// bounded are the options of every call.
func bounded() []grpc.CallOption {
	return []grpc.CallOption{grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)}
}

// flags are those that a suggested command needs to reach the same node.
func (c *connection) flags() string {
	s := ""
	if c.addr != defaultAddr {
		s += " --addr " + shellWord(c.addr)
	}
	if c.secretFile != "" {
		s += " --secret-file " + shellWord(c.secretFile)
	}
	return s
}

// command is a suggestion, ready to paste.
func (c *connection) command(format string, args ...any) string {
	return "globalchannel " + fmt.Sprintf(format, args...) + c.flags()
}
