package server

import "tapecast/ingest"

func writeRecallMetrics(m metricWriter, r ingest.RecallStats) {
	m.counter("tapecast_recall_asked_total", "Times that a member resumed from further back than memory holds, or "+
		"asked for its next part.", r.Asked)
	m.counter("tapecast_recall_refused_total", "Times that a member resumed from further back than memory holds "+
		"and could not be served.", r.Refused)
	m.family("tapecast_recall_refusals_total", "counter", "Resumes from further back than memory holds that could "+
		"not be served, by reason: Kafka no longer has it, more than a user's budget ever gives, the budget is "+
		"used up, Kafka was too slow, too many wait, the gateway stops, the client is gone.")
	for _, why := range sortedKeys(r.RefusedBy) {
		m.labelled("tapecast_recall_refusals_total", "reason", why, float64(r.RefusedBy[why]))
	}
	m.counter("tapecast_recall_windows_total", "Parts of a past that were given to members.", r.Windows)
	m.counter("tapecast_recall_budget_waits_total", "Times that a member's next part waited for its user's budget.",
		r.BudgetWaits)
	m.counter("tapecast_recall_taken_back_total", "Parts taken back from members that were sent nothing of them, "+
		"because others needed the memory.", r.TakenBack)
	m.counter("tapecast_recall_reads_total", "Stretches of a partition that were read again.", r.Reads)
	m.counter("tapecast_recall_records_total", "Records read again.", r.Records)
	m.counter("tapecast_recall_bytes_total", "Bytes of the keys and values of records read again.", r.Bytes)
	m.counter("tapecast_recall_dropped_bytes_total", "Bytes of records read again that went to rooms nobody asked "+
		"for, and were not kept.", r.Dropped)
	m.counter("tapecast_recall_given_bytes_total", "Bytes of frames made of records read again.", r.HandedAll)
	m.gauge("tapecast_recall_kept_bytes", "Memory of records read again.", float64(r.Kept))
	m.gauge("tapecast_recall_handed_bytes", "Memory of frames made of records read again that are still being sent.",
		float64(r.Handed))
	m.gauge("tapecast_recall_waiting", "Members that wait for records to be read again.", float64(r.Waiting))
	m.gauge("tapecast_recall_users", "Users whose budget for records read again is counted.", float64(r.Users))
	m.gauge("tapecast_recall_times_waiting", "Times whose positions are being looked up for members that resume.",
		float64(r.Times))
	m.counter("tapecast_recall_times_refused_total", "Times that were not looked up because too many waited.",
		r.TimesRefused)
}
