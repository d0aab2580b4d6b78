package disk

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/hashicorp/raft"
)

// checkedLog keeps a checksum with each entry, which the stores have not, or do not
// look at: a flipped bit that still makes an entry would be applied here and nowhere
// else. It is where Raft has room for what only a store knows, and nobody above sees it.
// An entry of an older binary has none, and is taken as it is.
type checkedLog struct{ raft.LogStore }

const sumSize = 4

// GetLog implements raft.LogStore.
func (l checkedLog) GetLog(index uint64, into *raft.Log) error {
	if err := l.LogStore.GetLog(index, into); err != nil {
		return err
	}
	sum := into.Extensions
	into.Extensions = nil
	if len(sum) == 0 {
		return nil
	}
	if len(sum) != sumSize || binary.BigEndian.Uint32(sum) != entrySum(into) {
		return fmt.Errorf("%w: entry %d does not match its checksum", errLogDamaged, index)
	}
	return nil
}

// StoreLog implements raft.LogStore.
func (l checkedLog) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

// StoreLogs implements raft.LogStore. Others read the entries meanwhile: they get copies.
func (l checkedLog) StoreLogs(entries []*raft.Log) error {
	copies, checked, sums := make([]raft.Log, len(entries)), make([]*raft.Log, len(entries)), make([]byte, 0, sumSize*len(entries))
	for i, e := range entries {
		copies[i], checked[i] = *e, &copies[i]
		sums = binary.BigEndian.AppendUint32(sums, entrySum(e))
		copies[i].Extensions = sums[i*sumSize:][:sumSize:sumSize]
	}
	return l.LogStore.StoreLogs(checked)
}

// entrySum is over all that Raft goes by.
func entrySum(e *raft.Log) uint32 {
	var head [17]byte
	binary.BigEndian.PutUint64(head[:], e.Index)
	binary.BigEndian.PutUint64(head[8:], e.Term)
	head[16] = byte(e.Type)
	return crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, e.Data)
}
