// Package fleetsize is the subcommand "fleet": what a leader spends on many
// replicas, how soon a new server is there, and how long the loss of a leader lasts
// with many servers.
//
// command.go has the flags. size.go starts the fleet, steady.go watches it idle
// and under load; arrival.go starts new servers into it; failover.go has a fleet of
// its own, whose voters are processes that can be killed. document.go makes of
// the samples what is printed.
package fleetsize
