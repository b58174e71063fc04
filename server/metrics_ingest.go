package server

import (
	"maps"
	"slices"
	"strconv"

	"tapecast/ingest"
)

// writeTopicMetrics writes the figures of each topic. Alerts check first whether it is read.
func writeTopicMetrics(m metricWriter, i *ingest.Stats) {
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
