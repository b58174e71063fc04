// Package worker is the process that holds clients. Run reads a job.Job and then
// orders from its standard input, and writes one answer each. The package imports
// nothing of the process that drives it.
//
// One goroutine, locked to its thread, owns everything: the loop with its epoll set,
// its clients, the reader with what it counts. There is no goroutine and no net.Conn per
// client. Only loop.wakeUp may be called by another goroutine; a TLS handshake runs on a
// goroutine of its own while the loop leaves its client alone.
//
// How a message comes through:
//
//  1. loop.turn polls, and serve calls receive for each readable client.
//  2. receive reads into the loop's one big buffer, behind what was left of the frame
//     before; with TLS, decrypt comes between.
//  3. reader.read takes frames apart. A frame that ends with a value goes to value,
//     another protocol's frame to its speaker (speak_*.go), the rest to notice.
//  4. value parses due time and number, and gives them to the tally, which knows what
//     the client has missed, got twice or got in the wrong order, to the histogram, and,
//     where everything is checked, to the chain of prev and pos.
//
// A data frame costs its header, its number and one count in a histogram; nothing is
// allocated. What happens to clients while messages flow is an incident, done in steps
// between two polls: storm, churner, pinger, slowReader.
//
// A new protocol is a speaker; a new thing that happens to clients is an incident, an
// order in package job, and a case in loop.obey.
package worker
