package publish

import (
	"errors"
	"strings"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kfake"

	"tapecast/bench/job"
	"tapecast/bench/machine"
	"tapecast/rooms/testwait"
)

// The topic has what was published, keyed and in order.
func TestPublishKafka(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a broker")
	}
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "prices"))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	to, err := NewKafka(broker.ListenAddrs(), "prices")
	if err != nil {
		t.Fatal(err)
	}
	shape, _ := job.NewValueShape(128, "")
	a := machine.Anchor()
	s, _ := job.NewSchedule(machine.MonotonicIn(0)+a, 2000)
	p := Publication{Schedule: s, Anchor: a, Total: 500, Shape: shape,
		Assignment: job.Assignment{Streams: 3}}
	out, err := p.Publish(t.Context(), to)
	if err != nil || out.Messages != 500 || out.Lag.Count() != 500 {
		t.Fatalf("%+v, %v", out, err)
	}
	c, err := kafka.NewConsumer(&kafka.ConfigMap{
		"bootstrap.servers": strings.Join(broker.ListenAddrs(), ","), "group.id": "t",
		"enable.metrics.push": false,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	topic := "prices"
	if err := c.Assign([]kafka.TopicPartition{{Topic: &topic, Offset: 0}}); err != nil {
		t.Fatal(err)
	}
	for n := range int64(500) {
		m, err := c.ReadMessage(testwait.Patience)
		if err != nil {
			t.Fatal(err)
		}
		if !shape.Same(m.Value, s.Due(n), n) || string(m.Key) != job.KeyName(n%3) {
			t.Fatalf("message %d is %q: %s", n, m.Key, m.Value)
		}
	}
}

func TestKafkaBadInput(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a broker")
	}
	broker, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	_, err = NewKafka(broker.ListenAddrs(), "nowhere")
	var input *job.InputError
	if !errors.As(err, &input) || !strings.Contains(err.Error(), `cannot find topic "nowhere"`) {
		t.Fatalf("%v", err)
	}
}
