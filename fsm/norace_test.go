//go:build !race

package fsm

const RaceDetector = false
