package state

import "fmt"

// names are the texts of a shape. All uids are one string, and so are all channels'
// names: a name is a part of it and allocates nothing.
type names struct {
	channels, uids         string
	channelBytes, uidBytes int
	sids                   []string
}

const (
	channelPrefix = "guild:"
	channelDigits = 6
	alphabet      = "0123456789abcdefghjkmnpqrstvwxyz" // of uids: five bits a letter
)

// newNames makes the names of a shape, and extra channels' behind its own.
func newNames(s Shape, extra int) *names {
	n := &names{channelBytes: len(channelPrefix) + channelDigits, uidBytes: s.UIDBytes}
	channels := make([]byte, 0, (s.Channels+extra)*n.channelBytes)
	for i := range s.Channels + extra {
		channels = fmt.Appendf(channels, "%s%0*d", channelPrefix, channelDigits, i)
	}
	uids := make([]byte, 0, s.Players*n.uidBytes)
	for i := range s.Players {
		uids = appendUID(uids, uint64(i), n.uidBytes)
	}
	n.channels, n.uids = string(channels), string(uids)
	for i := range s.SIDs {
		n.sids = append(n.sids, fmt.Sprintf("connector-%02d", i))
	}
	return n
}

func (n *names) channel(i uint32) string {
	at := int(i) * n.channelBytes
	return n.channels[at : at+n.channelBytes]
}

func (n *names) uid(i uint32) string {
	at := int(i) * n.uidBytes
	return n.uids[at : at+n.uidBytes]
}

// key is what a set in Redis is called. What stands before it in a real one would
// only cost Redis more.
func (n *names) key(channel uint32, sid uint16) string {
	return n.channel(channel) + ":" + n.sids[sid]
}

// appendUID appends the i-th uid. Players' ids are mostly random: there is nothing
// in them that a snapshot could compress away but the alphabet.
func appendUID(dst []byte, i uint64, size int) []byte {
	const letters = 13 // of 64 bits
	for word := uint64(0); size > 0; word++ {
		n := min(size, letters)
		v := scatter(i+word<<40, uint(min(5*n, 64)))
		for range n {
			dst = append(dst, alphabet[v&31])
			v >>= 5
		}
		size -= n
	}
	return dst
}

// scatter gives different numbers of so many bits for different ones, without an
// order: odd factors and shifts to the right can be undone.
func scatter(v uint64, bits uint) uint64 {
	mask := uint64(1)<<bits - 1 // of 64 bits: all, as 1<<64 is 0
	for _, factor := range [...]uint64{0xbf58476d1ce4e5b9, 0x94d049bb133111eb} {
		v = v * factor & mask
		v ^= v >> (bits/2 + 1)
	}
	return v
}
