package server

import (
	"strconv"

	"tapecast/ingest"
)

// writeKafkaMetrics writes whether Kafka is read, which alerts check first.
func writeKafkaMetrics(m metricWriter, i *ingest.Stats) {
	m.gauge("tapecast_kafka_up", "1 if the brokers answer. If it is 0, /health says why they do not.", bit(i.Up))
	m.family("tapecast_topic_up", "gauge", "1 if the brokers answer and all partitions of the topic are being "+
		"read.")
	for _, t := range i.Topics {
		m.labelled("tapecast_topic_up", "topic", t.Topic, bit(t.Up))
	}
	m.family("tapecast_topic_bad_total", "counter", "Records that could not be routed, by topic and reason.")
	for _, t := range i.Topics {
		topic := "tapecast_topic_bad_total{topic=" + strconv.Quote(t.Topic) + ",reason="
		for _, reason := range sortedKeys(t.Bad) {
			m.line(topic+strconv.Quote(reason)+"}", float64(t.Bad[reason]))
		}
	}
}
