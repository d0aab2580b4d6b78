package compact

import "unsafe"

// bytesOf is the memory of words.
func bytesOf(words []uint32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), 4*len(words))
}

func firstByte(words []uint32) int { return int(bytesOf(words)[0]) }
