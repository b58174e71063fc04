// Package worker is the process that holds clients. Run reads a job.Job and then orders
// from its standard input, and writes one answer to each. The package imports nothing of
// the process that drives it.
//
// One goroutine, locked to its thread, owns everything: the loop with its epoll set, its
// clients, and the reader with its counters. There is no goroutine and no net.Conn per
// client. Other goroutines may call only loop.wakeUp. A TLS handshake runs on a goroutine
// of its own, and the loop leaves its client alone meanwhile.
//
// How a message comes through:
//
//  1. loop.turn polls, and serve calls receive for each readable client.
//  2. receive reads into the loop's one big buffer, behind the rest of an incomplete
//     frame. With TLS, decrypt comes between.
//  3. reader.read splits the bytes into frames. A frame that ends with a value goes to
//     value, another protocol's frame to its speaker (speak_*.go), all others to notice.
//  4. value parses due time and number. The tally takes the number, and knows what the
//     client missed, got twice or got out of order. The histogram takes the latency. If
//     everything is checked, the chain of prev and pos is followed too.
//
// A data frame costs its header, its number and one count in a histogram, and allocates
// nothing. An incident is something that happens to clients while messages flow. It is done
// in steps between two polls: storm, churner, pinger, slowReader.
//
// A new protocol is a speaker. A new incident also needs an order in package job, and a
// case in loop.obey.
package worker
