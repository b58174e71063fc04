// Command tapecast is the gateway. `tapecast run` serves, `check` names what is
// wrong with a configuration, `token` makes a token that it accepts, `watch` is
// a client for the terminal. Flags, signals and what is printed live here; all
// the rest is package server's.
//
// main hands everything that belongs to the process (arguments, environment,
// streams, signals) to the commands as an env, so that tests run them in
// process. One goroutine a command, plus one that waits for signals.
//
// A gateway asks two things for all its threads: of Go's runtime more processors than the
// machine has (addProcessors), and of the kernel short slices (shortSlices).
package main
