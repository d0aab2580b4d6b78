// Command globalchannel runs servers for processes that do not embed one, asks
// them things, and shows the whole in a demo.
//
// It holds flags, environment, output and exit codes, and no logic that a user
// of package node would miss. One call, "globalchannel add room alice connector-1":
//
//   - main turns signals into the end of a context and calls run (root.go), which
//     builds the tree of commands anew and maps the error to an exit code: 0, 1
//     for a failure, 2 for wrong usage.
//   - Before a command runs, applyEnvironment (environment.go) fills in flags that
//     were not given from GLOBALCHANNEL_... variables.
//   - write.go asks connection (connection.go) for a call: it reads the secret,
//     dials the public service globalchannel.v1 of one node and bounds the whole
//     with --timeout.
//   - An error comes back through node.FromStatus, so it matches node's sentinels
//     here as it did there; explain (explain.go) adds what to do next.
//   - Data goes to stdout as a table or, with -o json, as one line of JSON
//     (output.go); everything else goes to stderr.
//
// "agent" is the one command that runs a node. "listen" is a frontend outside a
// node: frontend.go keeps it attached, session.go is one stream, reassembly.go
// joins the chunks of a large push.
//
// Nothing here is API; the flags, the JSON shapes and the exit codes are.
package main
