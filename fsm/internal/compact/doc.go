// Package compact holds small numbers and short texts in memory without pointers, so
// that many millions of them cost few bytes each and the garbage collector nothing.
// It is not API.
//
// A Slab (slab.go) is memory: blocks of up to 1,024 words, by size, in spans of 4 KiB. A Set (set.go) is a set of numbers with optional values: a short list, a hash
// table in one block (page.go), or many such pages (pages.go), about 4 to 5.5 bytes a
// key. Texts (texts.go) gives texts numbers and finds them again, about 16 bytes a text
// and its own length.
//
// Nothing here ever moves more than a page, a chunk or the index of one Texts in one
// call. None of it has a lock: one goroutine writes, and the types say what others may
// read meanwhile.
package compact
