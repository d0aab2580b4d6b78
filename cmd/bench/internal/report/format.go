package report

import (
	"fmt"
	"io"
)

// Format is the value of a flag: how a document is printed. The zero value is a table.
type Format string

const (
	Table Format = "table"
	JSON  Format = "json"
)

// String implements pflag.Value.
func (f *Format) String() string {
	if *f == "" {
		return string(Table)
	}
	return string(*f)
}

// Set implements pflag.Value.
func (f *Format) Set(s string) error {
	switch g := Format(s); g {
	case Table, JSON:
		*f = g
		return nil
	}
	return fmt.Errorf("it is %q; table and json are known", s)
}

// Type implements pflag.Value.
func (f *Format) Type() string { return "format" }

// Print prints a document in that format; table is how it is made into one.
func Print[D any](f Format, w io.Writer, document D, table func(io.Writer, D) error) error {
	if f == JSON {
		return PrintJSON(w, document)
	}
	return table(w, document)
}
