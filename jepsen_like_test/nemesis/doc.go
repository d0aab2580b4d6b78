// Package nemesis hurts a cluster on purpose and sees to it that it hurt: each
// fault returns what was observed of it, and a run in which the observation is
// missing does not count.
package nemesis
