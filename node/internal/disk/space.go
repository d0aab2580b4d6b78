package disk

import "fmt"

// Space is what is left on the file system of a data directory, in bytes.
type Space struct{ Free, Total uint64 }

const (
	// leastFree is what a node needs in order to lead: several seconds of the densest
	// log, and on a WAL the segment of 64 MiB that is made ahead.
	leastFree = 64 << 20
	walFree   = 128 << 20
	// A file system of more than 6 GiB is nearly full with 1 % left.
	leastShare = 100
	// Once nearly full, a quarter more than the bound must be free: or leadership would
	// come and go with every snapshot that is deleted.
	enoughAgain = 4
)

// Level says whether a file system is nearly full.
type Level struct {
	least uint64
	low   bool
}

// Judge returns the problem in words; "" if there is room.
func (l *Level) Judge(s Space) string {
	bound := max(l.least, s.Total/leastShare)
	if l.low {
		bound += bound / enoughAgain
	}
	if l.low = s.Free < bound; !l.low {
		return ""
	}
	return fmt.Sprintf("the disk is nearly full: %d MiB are free, at least %d MiB are needed to lead", s.Free>>20, bound>>20)
}
