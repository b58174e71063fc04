// Package publish sends the messages of a run, each when it is due: a Publication
// makes them, a Sink takes them. There is a Sink for the gateway's append endpoint, for
// Kafka, for NATS and for Centrifugo.
//
// A Publication and its Sink belong to one goroutine, locked to a thread that is given
// real-time priority where that is allowed. Kafka's delivery reports, and what servers
// answer, are counted on a goroutine of the sink's own, which ends with Close. What the
// publisher was late by itself is told apart from what the other side held it up
// (Published).
package publish
