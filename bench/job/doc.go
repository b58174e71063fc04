// Package job holds what the processes of a bench say to each other. A Job tells a
// worker which clients it has. Orders follow, and each gets an Answer, some with a Tally.
// The package also holds what both sides compute from numbers alone, so that they agree
// without exchanging messages:
//
//	Schedule    when each message is due
//	Assignment  to which stream a message falls, which room and key a stream has,
//	            and which streams a client gets
//	Round       the same of a recording
//	ValueShape  the bytes of a value: due time, number, padding or stamp
//	Hist        latencies, exact when merged
//	Keys        what tokens are signed with
//
// A feed here is a run of messages with numbers of its own (FeedTiming). A topic is not meant.
//
// It is a leaf: it imports nothing of ours. Values cross the pipe as JSON, one order
// and one answer at a time. Fields without a JSON name are computed again on the other
// side (Prepare). A Schedule, an Assignment and a Round do not change once prepared, so
// any goroutine may read them. A Hist belongs to the goroutine that records into it.
//
// Times are CLOCK_MONOTONIC of the machine that receives the order. Order.On converts
// them to the clock of another machine, and Answer.Back converts those of its answer.
//
// There are three kinds of errors. An InputError is a fault in what was asked for. An
// InvalidError is a run that proves nothing because the bench was the bottleneck. A
// FaultError is a run in which messages were lost or wrong.
package job
