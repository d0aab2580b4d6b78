// Package load makes load, in one of two ways.
//
// Start is a closed loop: a number of callers, each of which makes its next call
// when it has the answer to the last. Such callers slow down with the system, so a
// stall counts once for each of them and not once for every call that would have
// come meanwhile (coordinated omission): the percentiles are those of callers that
// wait. StartPaced is an open one: calls are due at a given rate, and their times
// count from then.
package load
