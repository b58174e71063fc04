// Package publish sends the messages of a run, each when it is due. A Publication makes
// them, and a Sink takes them. There is a Sink for the gateway's append endpoint, for
// Kafka, for NATS and for Centrifugo.
//
// A Publication and its Sink belong to one goroutine. It is locked to a thread, which gets
// real-time priority where that is allowed. A goroutine of the sink counts Kafka's
// delivery reports, or the server's answers, and ends with Close. Published tells two
// delays apart: what the publisher itself was late, and what the other side held it up.
package publish
