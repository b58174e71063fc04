// Package job holds what the processes of a bench say to each other: a Job, which
// tells a worker who its clients are, the Orders that follow, and the Answers with
// their Tally. It also holds what both sides compute from numbers alone, so that they
// agree without a word:
//
//	Schedule    when each message is due
//	Assignment  to which stream a message falls, which room and key a stream has,
//	            and which streams a client gets
//	Round       the same of a recording
//	ValueShape  the bytes of a value: due time, number, padding or stamp
//	Hist        latencies, exact when merged
//	Keys        what tokens are signed with
//
// It is a leaf: it imports nothing of ours. Values cross the pipe as JSON, one order
// and one answer at a time. Fields without a JSON name are computed again on the other
// side (Prepare). A Schedule, an Assignment and a Round are not written once prepared,
// so any goroutine may read them. A Hist belongs to the goroutine that records into it.
//
// Times are CLOCK_MONOTONIC of the machine that the order is for: Order.On moves them
// to the clock of another machine, and Answer.Back moves those of its answer back.
//
// Errors have three kinds: an InputError, of what was asked for; an InvalidError, of a
// run that says nothing because the bench was the bottleneck; a FaultError, of messages
// that were lost or wrong.
package job
