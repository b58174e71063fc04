package route

import (
	"fmt"
	"strings"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kfake"
)

// Every partitioner chooses the same partition as librdkafka's own.
func TestPartitionersAsProducersDo(t *testing.T) {
	t.Parallel()
	const parts = 7
	opts := []kfake.Opt{kfake.NumBrokers(1)}
	for name := range partitioners {
		opts = append(opts, kfake.SeedTopics(parts, name))
	}
	broker, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	for name, by := range partitioners {
		p, err := kafka.NewProducer(&kafka.ConfigMap{
			"bootstrap.servers": strings.Join(broker.ListenAddrs(), ","), "partitioner": name,
			"enable.metrics.push": false,
		})
		if err != nil {
			t.Fatal(err)
		}
		reports := make(chan kafka.Event, 100)
		for i := range cap(reports) {
			key := fmt.Sprintf("%d-%s", i*i, strings.Repeat("é\xff", i%5))
			to := kafka.TopicPartition{Topic: &name, Partition: kafka.PartitionAny}
			if err := p.Produce(&kafka.Message{TopicPartition: to, Key: []byte(key), Opaque: key},
				reports); err != nil {
				t.Fatal(err)
			}
		}
		for range cap(reports) {
			m := (<-reports).(*kafka.Message)
			key := m.Opaque.(string)
			if got, want := by([]byte(key), parts), m.TopicPartition.Partition; got != want ||
				m.TopicPartition.Error != nil {
				t.Errorf("%s of %q: %d, librdkafka says %d (%v)", name, key, got, want, m.TopicPartition.Error)
			}
		}
		p.Close()
	}
}
