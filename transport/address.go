package transport

import (
	"strings"

	"github.com/hashicorp/raft"
)

// RaftAddress joins a node id and host:port into the address under which Raft
// knows a server. It names both because addresses are reused: a stream that is
// dialled with it cannot end up at another node.
func RaftAddress(nodeID, addr string) raft.ServerAddress {
	return raft.ServerAddress(nodeID + "@" + addr)
}

// SplitRaftAddress is its inverse. An address without a node id gives "".
func SplitRaftAddress(a raft.ServerAddress) (nodeID, addr string) {
	nodeID, addr, ok := strings.Cut(string(a), "@")
	if !ok {
		return "", string(a)
	}
	return nodeID, addr
}

// raftAddr is a Raft address as net.Addr: hashicorp/raft tells the others what
// its stream layer says here.
type raftAddr raft.ServerAddress

func (raftAddr) Network() string  { return "tcp" }
func (a raftAddr) String() string { return string(a) }
