// Package proc runs this executable as other processes and calls them: lines of
// JSON on stdin and stdout, a request with a number and its reply.
//
// A child answers each request in a goroutine of its own and ends when its stdin
// does, so it cannot outlive its parent. Group is the parent's side, Serve the
// child's.
package proc
