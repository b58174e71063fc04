package ingest

import (
	"strings"
	"testing"
	"time"

	"tapecast/rooms/testwait"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// consumeAll reads topics from their beginning until more returns false.
func consumeAll(t testing.TB, brokers, topics []string, more func(*kafka.Message) bool) {
	t.Helper()
	c, err := kafka.NewConsumer(&kafka.ConfigMap{
		"bootstrap.servers": strings.Join(brokers, ","), "group.id": "test", "enable.auto.commit": false,
		"fetch.wait.max.ms": 20, "isolation.level": "read_committed", "enable.metrics.push": false,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var parts []kafka.TopicPartition
	for _, topic := range topics {
		md, err := c.GetMetadata(&topic, false, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range md.Topics[topic].Partitions {
			parts = append(parts, kafka.TopicPartition{Topic: &topic, Partition: p.ID, Offset: kafka.OffsetBeginning})
		}
	}
	if err := c.Assign(parts); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(testwait.Patience); time.Now().Before(end); {
		if m, ok := c.Poll(100).(*kafka.Message); ok && !more(m) {
			return
		}
	}
	t.Fatal("the expected records have not come within 30 s")
}
