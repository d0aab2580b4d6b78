package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Gossip metadata: what memberlist carries about a process beside its name and
// address. memberlist panics above 512 bytes and repeats it in every alive
// message, so the bound is ours and tight.
//
//	version   1 byte
//	expect    1 byte
//	started   8 bytes  Unix milliseconds of the process start: which of two incarnations is newer
//	sid       1 byte length, text
//	cluster   1 byte length, text
//	addr      1 byte length, text; only if the advertised host is a name
const (
	metadataVersion  = 1
	maxMetadata      = 199
	maxIDLength      = 64
	maxExpect        = 255
	maxHostLength    = 253 // of any name in DNS
	metadataOverhead = 1 + 1 + 8 + 3
)

var errMetadata = errors.New("gossip metadata is not of this format")

type metadata struct {
	Expect    int
	Started   int64
	SID       string
	ClusterID string
	Addr      string // HOST:PORT with a host name, or ""
}

// encode fails if the parts do not fit; names of 64 bytes and a UUID leave 84
// bytes for a host name.
func (m metadata) encode() ([]byte, error) {
	if n := metadataOverhead + len(m.SID) + len(m.ClusterID) + len(m.Addr); n > maxMetadata {
		return nil, fmt.Errorf("sid, cluster id and advertised name take %d bytes of gossip metadata, at most %d fit", n, maxMetadata)
	}
	b := make([]byte, 0, maxMetadata)
	b = append(b, metadataVersion, byte(m.Expect))
	b = binary.BigEndian.AppendUint64(b, uint64(m.Started))
	for _, s := range []string{m.SID, m.ClusterID, m.Addr} {
		b = append(b, byte(len(s)))
		b = append(b, s...)
	}
	return b, nil
}

// decodeMetadata is strict: whatever encode would not have written is refused,
// so that nothing unchecked travels on into names, addresses and logs.
func decodeMetadata(b []byte) (metadata, error) {
	if len(b) < metadataOverhead || len(b) > maxMetadata || b[0] != metadataVersion {
		return metadata{}, errMetadata
	}
	m := metadata{Expect: int(b[1]), Started: int64(binary.BigEndian.Uint64(b[2:10]))}
	rest := b[10:]
	for _, field := range []*string{&m.SID, &m.ClusterID, &m.Addr} {
		if len(rest) == 0 || len(rest) < 1+int(rest[0]) {
			return metadata{}, errMetadata
		}
		*field, rest = string(rest[1:1+int(rest[0])]), rest[1+int(rest[0]):]
	}
	if len(rest) != 0 || m.Started < 0 || !validID(m.SID) || m.ClusterID != "" && !validID(m.ClusterID) {
		return metadata{}, errMetadata
	}
	if m.Addr != "" && validAddr(m.Addr) != nil {
		return metadata{}, errMetadata
	}
	return m, nil
}

// A gossip name is NODEID/INCARNATION: memberlist ignores a known name at a new
// address for half a minute, so a restarted server must come with a new name.
func gossipName(nodeID, incarnation string) string { return nodeID + "/" + incarnation }

func splitGossipName(name string) (nodeID, incarnation string, ok bool) {
	nodeID, incarnation, ok = strings.Cut(name, "/")
	return nodeID, incarnation, ok && validID(nodeID) && validID(incarnation) && !strings.Contains(incarnation, "/")
}

func validID(s string) bool {
	return s != "" && len(s) <= maxIDLength && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

// notInHost are characters that no name or address of a machine has.
func notInHost(r rune) bool {
	return r <= ' ' || r == 0x7f || r == '/' || r == '@' || r == utf8.RuneError
}

// validAddr accepts HOST:PORT that somebody else could dial.
func validAddr(addr string) error {
	if len(addr) > maxHostLength+len("[]:65535") {
		return fmt.Errorf("an address of %d bytes is no HOST:PORT", len(addr))
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("address %q: the port must be a number from 1 to 65535", addr)
	}
	if host == "" || len(host) > maxHostLength || !utf8.ValidString(host) || strings.ContainsFunc(host, notInHost) {
		return fmt.Errorf("address %q: no usable host", addr)
	}
	if ip, err := netip.ParseAddr(host); err == nil && (ip.Unmap().IsUnspecified() || ip.Unmap().IsMulticast()) {
		return fmt.Errorf("address %q: others cannot dial it", addr)
	}
	return nil
}
