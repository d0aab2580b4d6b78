package node

import "fmt"

// LogStore is how a data directory keeps the log. A directory has the one that it
// was made with; Start refuses it with the other. Servers of one cluster may differ.
type LogStore uint8

const (
	// BoltDB keeps everything in one file.
	BoltDB LogStore = iota
	// WAL appends to preallocated files of 64 MiB, of which there are always one or
	// two. An entry then costs one sync in place of BoltDB's two: a write takes
	// about half as long.
	WAL
)

// String returns "boltdb" or "wal".
func (l LogStore) String() string {
	switch l {
	case BoltDB:
		return "boltdb"
	case WAL:
		return "wal"
	default:
		return fmt.Sprintf("LogStore(%d)", uint8(l))
	}
}

// MarshalText implements encoding.TextMarshaler.
func (l LogStore) MarshalText() ([]byte, error) { return []byte(l.String()), l.check() }

// UnmarshalText implements encoding.TextUnmarshaler: "boltdb" or "wal".
func (l *LogStore) UnmarshalText(text []byte) error {
	for _, known := range []LogStore{BoltDB, WAL} {
		if string(text) == known.String() {
			*l = known
			return nil
		}
	}
	return fmt.Errorf("%q is unknown; boltdb or wal is allowed", text)
}

func (l LogStore) check() error {
	if l > WAL {
		return configError("LogStore", "is %s; BoltDB or WAL is allowed", l)
	}
	return nil
}
