// Package scene has the occasions that some seeded bugs need and that a random run
// seldom makes: one cluster, in simulated time, to which the same things are done in the
// same order each time. Without a bug each scene passes: it is a test of the promise, too.
//
// What was done is a history like any other, and the checker has the verdict.
package scene
