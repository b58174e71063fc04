package server

import (
	"maps"
	"slices"
	"strconv"

	"tapecast/ingest"
)

func writeIngestMetrics(m metricWriter, i *ingest.Stats) {
	put(m, "tapecast_ingest_records_total", i.Processed)
	put(m, "tapecast_ingest_bytes_total", i.Bytes)
	byKey(m, "tapecast_ingest_bad_total", "reason", i.Bad)
	put(m, "tapecast_ingest_dead_letters_total", i.DeadLetters)
	put(m, "tapecast_ingest_dead_letters_lost_total", i.DeadLettersLost)
	put(m, "tapecast_ingest_misplaced_total", i.Misplaced)
	put(m, "tapecast_ingest_partition_counts_forgotten_total", i.Forgotten)
	put(m, "tapecast_ingest_repeated_total", i.Repeated)
	put(m, "tapecast_ingest_gaps_total", i.Gaps)
	put(m, "tapecast_kafka_reconnects_total", i.Reconnects)
	put(m, "tapecast_kafka_resets_total", i.Resets)
	put(m, "tapecast_kafka_partitions", i.Partitions)
	byKey(m, "tapecast_kafka_lag", "topic", i.Lag)
	put(m, "tapecast_kafka_up", bit(i.Up))
}

// writeTopicMetrics writes the figures of each topic. Alerts check first whether it is read.
func writeTopicMetrics(m metricWriter, i *ingest.Stats) {
	put(m, "tapecast_readers", i.Readers)
	put(m, "tapecast_kafka_queued_records", i.Queued)
	each := func(name string, value func(*ingest.TopicStats) float64) {
		m.family(name)
		for k := range i.Topics {
			m.labelled(name, "topic", i.Topics[k].Topic, value(&i.Topics[k]))
		}
	}
	each("tapecast_topic_up", func(t *ingest.TopicStats) float64 { return bit(t.Up) })
	each("tapecast_topic_records_total", func(t *ingest.TopicStats) float64 { return float64(t.Records) })
	each("tapecast_topic_bytes_total", func(t *ingest.TopicStats) float64 { return float64(t.Bytes) })
	each("tapecast_topic_newest_timestamp_seconds",
		func(t *ingest.TopicStats) float64 { return float64(t.Newest) / 1e3 })
	each("tapecast_topic_ahead_total", func(t *ingest.TopicStats) float64 { return float64(t.Ahead) })
	each("tapecast_ingest_unmatched_total", func(t *ingest.TopicStats) float64 { return float64(t.Unmatched) })
	m.family("tapecast_topic_bad_total")
	for _, t := range i.Topics {
		topic := "tapecast_topic_bad_total{topic=" + strconv.Quote(t.Topic) + ",reason="
		for _, reason := range slices.Sorted(maps.Keys(t.Bad)) {
			m.line(topic+strconv.Quote(reason)+"}", float64(t.Bad[reason]))
		}
	}
}

func writeRecallMetrics(m metricWriter, r *ingest.RecallStats) {
	put(m, "tapecast_recall_asked_total", r.Asked)
	put(m, "tapecast_recall_refused_total", r.Refused)
	byKey(m, "tapecast_recall_refusals_total", "reason", r.RefusedBy)
	put(m, "tapecast_recall_windows_total", r.Windows)
	put(m, "tapecast_recall_budget_waits_total", r.BudgetWaits)
	put(m, "tapecast_recall_taken_back_total", r.TakenBack)
	put(m, "tapecast_recall_reads_total", r.Reads)
	put(m, "tapecast_recall_records_total", r.Records)
	put(m, "tapecast_recall_bytes_total", r.Bytes)
	put(m, "tapecast_recall_dropped_bytes_total", r.Dropped)
	put(m, "tapecast_recall_given_bytes_total", r.HandedAll)
	put(m, "tapecast_recall_kept_bytes", r.Kept)
	put(m, "tapecast_recall_handed_bytes", r.Handed)
	put(m, "tapecast_recall_waiting", r.Waiting)
	put(m, "tapecast_recall_users", r.Users)
	put(m, "tapecast_recall_times_waiting", r.Times)
	put(m, "tapecast_recall_times_refused_total", r.TimesRefused)
}
