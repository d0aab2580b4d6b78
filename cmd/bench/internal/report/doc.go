// Package report makes tables and JSON documents of what the subcommands measured.
package report
