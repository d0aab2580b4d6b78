package fsm

import (
	"strings"
	"unicode/utf8"

	"github.com/pofresh/globalchannel/fsm/fsmpb"
)

// What a string of the state may be: non-empty (where required) valid UTF-8
// without NUL, up to so many bytes. The node checks the same before it sends
// anything; the state checks again because a log entry may come from a server
// with a bug, and all replicas have to refuse it alike.
const (
	MaxNameBytes = 255 // of a channel name, a uid, an id, an address
	MaxSIDBytes  = 64  // of a sid, a stype, a zone
	maxMetaBytes = 256 // of a member, of a channel's options
)

func validText(s string, limit int) bool {
	return len(s) <= limit && strings.IndexByte(s, 0) < 0 && utf8.ValidString(s)
}

func validName(s string) bool { return s != "" && validText(s, MaxNameBytes) }

func validSID(s string) bool { return s != "" && validText(s, MaxSIDBytes) }

func validFound(f *fsmpb.Found) bool {
	// The generation is the upper 16 bits of an epoch, and 0 is no generation.
	return validName(f.GetClusterId()) && f.GetGeneration() > 0 && f.GetGeneration() < 1<<16
}

func validServerUp(up *fsmpb.ServerUp) bool {
	attached := up.GetVia() != ""
	return validSID(up.GetSid()) && validSID(up.GetStype()) && validText(up.GetZone(), MaxSIDBytes) &&
		validName(up.GetNodeId()) && validName(up.GetIncarnation()) && validText(up.GetAddr(), MaxNameBytes) &&
		validText(up.GetVia(), MaxSIDBytes) && up.GetVia() != up.GetSid() && attached == (up.GetViaEpoch() != 0)
}
