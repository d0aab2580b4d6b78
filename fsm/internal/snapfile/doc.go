// Package snapfile knows the bytes of a snapshot from version 3 on. It is not API.
//
//	magic (8 bytes) | version (uint32) | sections | end
//
// Integers of the file are big endian. A section (file.go) is
//
//	kind (1 byte) | number, raw length, stored length (uint32 each) |
//	CRC-32C of the stored bytes | SHA-256 of the raw content |
//	stored bytes: the raw content, compressed with zstd
//
// and the end is a zero kind, the number of sections (uint32), and the file's sum: the
// SHA-256 of the version and of kind, number, raw length and SHA-256 of every section. So
// sections are read and checked independently of each other, and the sum depends on what
// is in them only, not on how it was compressed.
//
// The sections are a header, whose content is the caller's, and then, by shard, players
// (players.go) and channels (channels.go). What they hold is canonical: sorted, and with
// one encoding only. Whatever is accepted would be written again with the same bytes.
package snapfile
