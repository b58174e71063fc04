package server

import (
	"maps"
	"slices"
	"strconv"

	"tapecast/ingest"
)

func writeIngestMetrics(m metricWriter, i *ingest.Stats) {
	m.counter("tapecast_ingest_records_total", "Records read from Kafka.", i.Processed)
	m.counter("tapecast_ingest_bytes_total", "Bytes of the keys and values of records read from Kafka.", i.Bytes)
	byKey(m, "tapecast_ingest_bad_total", "counter", "Records that could not be routed, by reason.", "reason", i.Bad)
	m.counter("tapecast_ingest_dead_letters_total", "Bad records stored in the dead-letter topic.", i.DeadLetters)
	m.counter("tapecast_ingest_dead_letters_lost_total", "Bad records that could not be stored in the dead-letter "+
		"topic.", i.DeadLettersLost)
	m.counter("tapecast_ingest_misplaced_total", "Records written since the start to another partition than their "+
		"route's partitioner says.", i.Misplaced)
	m.counter("tapecast_ingest_partition_counts_forgotten_total", "Numbers of partitions that topics had "+
		"before they grew, beyond the 8 kept of each: records placed by those count as misplaced.", i.Forgotten)
	m.counter("tapecast_ingest_repeated_total", "Records read a second time and dropped.", i.Repeated)
	m.counter("tapecast_ingest_gaps_total", "Times that records were deleted before the gateway read them.", i.Gaps)
	m.counter("tapecast_kafka_reconnects_total", "Times that the brokers were lost and found again.", i.Reconnects)
	m.counter("tapecast_kafka_resets_total", "Topics that were created again.", i.Resets)
	m.gauge("tapecast_kafka_partitions", "Partitions being read.", float64(i.Partitions))
	byKey(m, "tapecast_kafka_lag", "gauge", "Records that have not been read yet, by topic.", "topic", i.Lag)
	m.gauge("tapecast_kafka_up", "1 if the brokers answer. If it is 0, /health says why they do not.", bit(i.Up))
}

// writeTopicMetrics writes the figures of each topic. Alerts check first whether it is read.
func writeTopicMetrics(m metricWriter, i *ingest.Stats) {
	m.gauge("tapecast_readers", "Readers: Kafka consumers, each with a goroutine that routes records.",
		float64(i.Readers))
	m.gauge("tapecast_kafka_queued_records", "Records that the Kafka clients have fetched and no reader has routed "+
		"yet.", float64(i.Queued))
	each := func(name, kind, help string, value func(*ingest.TopicStats) float64) {
		m.family(name, kind, help)
		for k := range i.Topics {
			m.labelled(name, "topic", i.Topics[k].Topic, value(&i.Topics[k]))
		}
	}
	each("tapecast_topic_up", "gauge", "1 if the brokers answer and all partitions of the topic are being read.",
		func(t *ingest.TopicStats) float64 { return bit(t.Up) })
	each("tapecast_topic_records_total", "counter", "Records read, by topic.",
		func(t *ingest.TopicStats) float64 { return float64(t.Records) })
	each("tapecast_topic_bytes_total", "counter", "Bytes of the keys and values read, by topic.",
		func(t *ingest.TopicStats) float64 { return float64(t.Bytes) })
	each("tapecast_topic_newest_timestamp_seconds", "gauge", "Kafka's timestamp of the newest record read, in Unix "+
		"time, by topic. 0: no record was read.", func(t *ingest.TopicStats) float64 { return float64(t.Newest) / 1e3 })
	each("tapecast_topic_ahead_total", "counter", "Records whose timestamp is more than an hour ahead of this node's "+
		"clock, by topic. They do not count as the newest.",
		func(t *ingest.TopicStats) float64 { return float64(t.Ahead) })
	each("tapecast_ingest_unmatched_total", "counter", "Records that no route's match names, and that are for "+
		"nobody, by topic.", func(t *ingest.TopicStats) float64 { return float64(t.Unmatched) })
	m.family("tapecast_topic_bad_total", "counter", "Records that could not be routed, by topic and reason.")
	for _, t := range i.Topics {
		topic := "tapecast_topic_bad_total{topic=" + strconv.Quote(t.Topic) + ",reason="
		for _, reason := range slices.Sorted(maps.Keys(t.Bad)) {
			m.line(topic+strconv.Quote(reason)+"}", float64(t.Bad[reason]))
		}
	}
}

func writeRecallMetrics(m metricWriter, r *ingest.RecallStats) {
	m.counter("tapecast_recall_asked_total", "Times that a member resumed from further back than memory holds, or "+
		"asked for its next part.", r.Asked)
	m.counter("tapecast_recall_refused_total", "Times that a member resumed from further back than memory holds "+
		"and could not be served.", r.Refused)
	byKey(m, "tapecast_recall_refusals_total", "counter", "Resumes from further back than memory holds that could "+
		"not be served, by reason: Kafka no longer has it, more than a user's budget ever gives, the budget is "+
		"used up, Kafka was too slow, too many wait, the gateway stops, the client is gone.", "reason", r.RefusedBy)
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
