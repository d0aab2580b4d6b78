// Package stats computes what the tables show: percentiles of latencies, and the
// median and range of several runs. It has no clock and no goroutine.
package stats
