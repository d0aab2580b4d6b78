package nodetest

import (
	"net"
	"slices"

	"github.com/pofresh/globalchannel/node"
)

// Diskless as a Config's DataDir starts the server without a disk: it keeps
// nothing, and Restart makes it a new node. (An empty DataDir is filled in.)
const Diskless = "diskless"

const (
	defaultPort = "7400"
	defaultDir  = "data"
	maxFounders = 3
)

// complete fills in what a Config for a machine of ours may leave out.
func complete(cfg node.Config, ip string, join []string) node.Config {
	if cfg.Listen == "" {
		cfg.Listen = net.JoinHostPort(ip, defaultPort)
	}
	if len(cfg.Join) == 0 && cfg.Discover == nil {
		cfg.Join = join
	}
	switch cfg.DataDir {
	case "":
		cfg.DataDir = defaultDir
	case Diskless:
		cfg.DataDir = ""
	}
	if len(cfg.Secret) == 0 {
		cfg.Insecure = true // 10.0.0.0/8 is not loopback, but it is all in memory
	}
	return cfg
}

// address is where cfg will be found on the machine with that ip.
func address(cfg node.Config, ip string) string {
	if cfg.Advertise != "" {
		return cfg.Advertise
	}
	if _, port, err := net.SplitHostPort(cfg.Listen); err == nil {
		return net.JoinHostPort(ip, port)
	}
	return net.JoinHostPort(ip, defaultPort)
}

// founders marks the first servers that may vote, up to three, as the founders,
// unless the caller has chosen.
func founders(cfgs []node.Config) []node.Config {
	cfgs = slices.Clone(cfgs)
	var first []int
	for i, cfg := range cfgs {
		if cfg.Expect != 0 {
			return cfgs
		}
		if !cfg.NonVoter && len(first) < maxFounders {
			first = append(first, i)
		}
	}
	for _, i := range first {
		cfgs[i].Expect = len(first)
	}
	return cfgs
}
