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
	x := &polling{t: t, at: at}
	for end := time.Now().Add(testwait.Patience); !x.ended || !x.failed; {
		if time.Now().After(end) {
			t.Fatalf("%d records, end %v, error %v within 30 s", x.records, x.ended, x.failed)
		}
		n := p.poll(100)
		if n > maxBatch {
			t.Fatalf("%d events in a batch", n)
		}
		for i := range n {
			x.takes(p.event(i))
		}
	}
	if n := p.queued(); n != 0 {
		t.Errorf("%d events are left after all were polled", n)
	}
}

// polling is what TestPoller has seen of its events.
type polling struct {
	t             *testing.T
	at            time.Time // of the first record
	r             route.Record
	records       int
	ended, failed bool
}

func (x *polling) takes(e *polled) {
	x.t.Helper()
	switch e.kind {
	case polledRecord:
		e.fill(&x.r)
		x.record(e)
		x.records++
	case polledEnd:
		if e.topicName() != "a" || e.partition != 1 || int(e.offset) != 2+2*maxBatch ||
			x.records != 2+2*maxBatch {
			x.t.Errorf("end of %s %d at %d after %d records", e.topicName(), e.partition, e.offset, x.records)
		}
		x.ended = true
	case polledError:
		code, said := e.fault()
		if code != kafka.ErrAutoOffsetReset || !strings.Contains(said, "out of range") {
			x.t.Errorf("error %v: %s", code, said)
		}
		x.failed = true
	}
}

func (x *polling) record(e *polled) {
	x.t.Helper()
	r := &x.r
	if e.topicName() != "a" || r.Partition != 1 || r.Offset != int64(x.records) || e.leader < 0 {
		x.t.Errorf("record %d: %s %+v, leader epoch %d", x.records, e.topicName(), *r, e.leader)
	}
	switch x.records {
	case 0:
		h := e.headers()
		if string(r.Key) != "key" || string(r.Value) != "value" || r.Time != x.at.UnixMilli() {
			x.t.Errorf("%+v", *r)
		}
		if len(h) != 2 || h[0].Key != "h" || string(h[0].Value) != "1" ||
			h[1].Key != "none" || h[1].Value != nil {
			x.t.Errorf("headers %v", h)
		}
	case 1:
		if r.Key != nil || r.Value != nil || e.headers() != nil {
			x.t.Errorf("%+v", *r)
		}
	}
}
