package server

import (
	"maps"
	"slices"
	"strconv"

	"tapecast/ingest"
)

// writeTopicMetrics writes the figures of each topic. Alerts check first whether it is read.
func writeTopicMetrics(m metricWriter, i *ingest.Stats) {
	rows(m, "topic", i.Topics, func(k int) string { return i.Topics[k].Topic })
	m.family("tapecast_topic_newest_timestamp_seconds")
	for _, t := range i.Topics {
		m.labelled("tapecast_topic_newest_timestamp_seconds", "topic", t.Topic, float64(t.Newest)/1e3)
	}
	m.family("tapecast_topic_bad_total")
	for _, t := range i.Topics {
		topic := "tapecast_topic_bad_total{topic=" + strconv.Quote(t.Topic) + ",reason="
		for _, reason := range slices.Sorted(maps.Keys(t.Bad)) {
			m.line(topic+strconv.Quote(reason)+"}", float64(t.Bad[reason]))
		}
	}
}
