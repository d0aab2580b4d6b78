//go:build !race

package bubble_test

const runs = 3
