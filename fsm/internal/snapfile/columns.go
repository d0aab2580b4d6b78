package snapfile

import (
	"encoding/binary"
	"fmt"
)

// A section's content is the number of rows and then columns, each with its length: like
// values stand together, which is what compresses.

func appendColumns(dst []byte, rows int, columns ...[]byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(rows))
	for _, c := range columns {
		dst = binary.AppendUvarint(dst, uint64(len(c)))
		dst = append(dst, c...)
	}
	return dst
}

// column reads values. The first error stays, and everything read after it is 0.
type column struct {
	rest []byte
	err  error
}

func (c *column) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
	}
	c.rest = nil
}

// uvarint takes the shortest encoding only.
func (c *column) uvarint() uint64 {
	if len(c.rest) > 0 && c.rest[0] < 0x80 {
		v := uint64(c.rest[0])
		c.rest = c.rest[1:]
		return v
	}
	v, n := binary.Uvarint(c.rest)
	if n <= 0 || n > 1 && c.rest[n-1] == 0 {
		c.fail("bad number")
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

// below is a number that has to be below a limit.
func (c *column) below(limit uint64) uint64 {
	v := c.uvarint()
	if v >= limit {
		c.fail("%d where less than %d is expected", v, limit)
		return 0
	}
	return v
}

func (c *column) bytes(n uint64) []byte {
	if n > uint64(len(c.rest)) {
		c.fail("%d bytes, %d are left", n, len(c.rest))
		return nil
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

// columnsOf splits a content into its columns.
func columnsOf(raw []byte, columns ...*column) (rows uint64, err error) {
	all := column{rest: raw}
	rows = all.uvarint()
	for _, c := range columns {
		c.rest = all.bytes(all.uvarint())
	}
	if rows == 0 {
		all.fail("a section without rows is not written")
	}
	if len(all.rest) > 0 {
		all.fail("%d bytes behind the columns", len(all.rest))
	}
	return rows, all.err
}

// firstError is that of the columns; with finished they have to be at their end too.
func firstError(finished bool, columns ...*column) error {
	for _, c := range columns {
		if c.err == nil && finished && len(c.rest) > 0 {
			c.fail("%d bytes behind the last row", len(c.rest))
		}
		if c.err != nil {
			return c.err
		}
	}
	return nil
}
