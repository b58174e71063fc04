package ingest

import (
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kfake"

	"tapecast/ingest/route"
	"tapecast/rooms/testwait"
)

// The poller finds the client's queue, which the client does not export. It
// takes records, ends and errors from it.
func TestPoller(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "a"))
	w := newWriter(t, k.ListenAddrs(), nil)
	topic, at := "a", time.UnixMilli(1699123456789)
	w.send(&kafka.Message{
		TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: 1}, Key: []byte("key"),
		Value: []byte("value"), Timestamp: at,
		Headers: []kafka.Header{{Key: "h", Value: []byte("1")}, {Key: "none"}},
	})
	w.send(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: 1}}) // neither key nor value
	for range 2 * maxBatch {
		w.put("a", 1, "", "x")
	}
	w.flush()

	conf, err := settings(k.ListenAddrs(), readerSettings(Config{}), nil,
		map[string]string{"enable.partition.eof": "true", "auto.offset.reset": "error"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := kafka.NewConsumer(conf)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p, err := newPoller(c)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if err := c.Assign([]kafka.TopicPartition{{Topic: &topic, Partition: 0, Offset: 99},
		{Topic: &topic, Partition: 1, Offset: 0}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was fetched and not polled is counted", func() bool { return p.queued() >= 2+2*maxBatch })
	var r route.Record
	records, ended, failed := 0, false, false
	for end := time.Now().Add(testwait.Patience); !ended || !failed; {
		if time.Now().After(end) {
			t.Fatalf("%d records, end %v, error %v within 30 s", records, ended, failed)
		}
		n := p.poll(100)
		if n > maxBatch {
			t.Fatalf("%d events in a batch", n)
		}
		for i := range n {
			e := p.event(i)
			switch e.kind {
			case polledRecord:
				e.fill(&r)
				if e.topicName() != "a" || r.Partition != 1 || r.Offset != int64(records) || e.leader < 0 {
					t.Errorf("record %d: %s %+v, leader epoch %d", records, e.topicName(), r, e.leader)
				}
				switch records {
				case 0:
					h := e.headers()
					if string(r.Key) != "key" || string(r.Value) != "value" || r.Time != at.UnixMilli() {
						t.Errorf("%+v", r)
					}
					if len(h) != 2 || h[0].Key != "h" || string(h[0].Value) != "1" ||
						h[1].Key != "none" || h[1].Value != nil {
						t.Errorf("headers %v", h)
					}
				case 1:
					if r.Key != nil || r.Value != nil || e.headers() != nil {
						t.Errorf("%+v", r)
					}
				}
				records++
			case polledEnd:
				if e.topicName() != "a" || e.partition != 1 || int(e.offset) != 2+2*maxBatch ||
					records != 2+2*maxBatch {
					t.Errorf("end of %s %d at %d after %d records", e.topicName(), e.partition, e.offset, records)
				}
				ended = true
			case polledError:
				code, said := e.fault()
				if code != kafka.ErrAutoOffsetReset || !strings.Contains(said, "out of range") {
					t.Errorf("error %v: %s", code, said)
				}
				failed = true
			}
		}
	}
	if n := p.queued(); n != 0 {
		t.Errorf("%d events are left after all were polled", n)
	}
}
