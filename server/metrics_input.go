package server

import "tapecast/loop"

// writeInputMetrics writes how much of what clients say waits, and where.
func writeInputMetrics(m metricWriter, e *loop.Stats) {
	m.gauge("tapecast_inbox_events", "Events that wait for the loops, of all connections.", float64(e.Inbox))
	m.gauge("tapecast_inbox_max_events", "The most events that have waited for one loop so far.", float64(e.InboxMost))
	m.gauge("tapecast_incoming_bytes", "Memory of clients' messages and TLS records that have not all come.",
		float64(e.Incoming))
	m.family("tapecast_reads_put_off_total", "counter",
		"Times that input was read later: others first (turn), the loop first (inbox), too many small frames (pace).")
	m.labelled("tapecast_reads_put_off_total", "reason", "turn", float64(e.PutOff.Turn))
	m.labelled("tapecast_reads_put_off_total", "reason", "inbox", float64(e.PutOff.Inbox))
	m.labelled("tapecast_reads_put_off_total", "reason", "pace", float64(e.PutOff.Pace))
}
