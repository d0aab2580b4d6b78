package node

import (
	"strings"
	"unicode/utf8"
)

// Limits of the strings, in bytes (DESIGN: one set for the whole cluster, so
// they are constants and not settings).
const (
	maxName = 255 // channel names, uids, routes
	maxSID  = 64  // sids, stypes, zones
)

// checkText applies the rule all identifiers share: non-empty UTF-8 without NUL.
func checkText(field, s string, limit int) error {
	switch {
	case s == "":
		return invalid(field, "is empty; 1 to %d bytes are allowed", limit)
	case len(s) > limit:
		return invalid(field, "has %d bytes; at most %d are allowed", len(s), limit)
	case !utf8.ValidString(s):
		return invalid(field, "is not valid UTF-8")
	case strings.IndexByte(s, 0) >= 0:
		return invalid(field, "contains a NUL byte")
	}
	return nil
}

func checkName(s string) error  { return checkText("name", s, maxName) }
func checkUID(s string) error   { return checkText("uid", s, maxName) }
func checkRoute(s string) error { return checkText("route", s, maxName) }
func checkSID(s string) error   { return checkText("sid", s, maxSID) }
func checkSType(s string) error { return checkText("stype", s, maxSID) }

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
