// Command tapecast is the gateway. `tapecast run` serves clients. `check` lists what is
// wrong with a configuration, and `token` makes a token that it accepts. `watch` shows one
// connection in the terminal as it is, and `tail` prints the messages of rooms, without loss, with
// package server/client. This package has the flags, the signals and the printed texts.
// Everything else is in package server.
//
// main hands everything that belongs to the process (arguments, environment, streams,
// signals) to the commands as an env. So tests can run commands inside the test
// process. Each command has one goroutine, and one more waits for signals.
//
// A gateway changes two settings for all its threads. Go's runtime gets more processors
// than the machine has (addProcessors), and the kernel gives short slices (shortSlices).
package main
