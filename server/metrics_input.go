package server

import "tapecast/loop"

// writeInputMetrics writes how much input of clients waits, and where.
func writeInputMetrics(m metricWriter, e *loop.Stats) {
	m.gauge("tapecast_inbox_events", "Events of all connections that wait for their loops.", float64(e.Inbox))
	m.gauge("tapecast_inbox_max_events", "The most events that have waited for one loop so far.", float64(e.InboxMost))
	m.gauge("tapecast_incoming_bytes", "Memory of messages and TLS records that clients have sent in part.",
		float64(e.Incoming))
	m.family("tapecast_reads_put_off_total", "counter", "Times that input was read later: other connections came "+
		"first (turn), the loop had to catch up (inbox), too many small frames (pace).")
	m.labelled("tapecast_reads_put_off_total", "reason", "turn", float64(e.PutOff.Turn))
	m.labelled("tapecast_reads_put_off_total", "reason", "inbox", float64(e.PutOff.Inbox))
	m.labelled("tapecast_reads_put_off_total", "reason", "pace", float64(e.PutOff.Pace))
}
