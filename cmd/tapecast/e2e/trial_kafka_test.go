package e2e

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func toKafka(x *trial) *toxic { return x.kafka }

// kafkaFaults is harm on the way to Kafka, and Kafka's own.
func kafkaFaults() []fault {
	const degraded = `"KafkaConsumer":{"status":"degraded","isRunning":true,"detail":"[^"]*`
	return []fault{
		outage("kafka: connections refused for 10 s", toKafka, 10*time.Second, degraded),
		{"kafka: cut and back ten times", func(x *trial) {
			for range 10 {
				x.kafka.cut()
				x.during(200 * time.Millisecond)
				x.kafka.open()
				x.during(300 * time.Millisecond)
			}
		}},
		harmed("kafka: answers swallowed", toKafka, 5*time.Second,
			func(p *toxic) { p.add("timeout", "down", `"timeout":0`) }, degraded),
		harmed("kafka: requests swallowed", toKafka, 5*time.Second,
			func(p *toxic) { p.add("timeout", "up", `"timeout":0`) }, degraded),
		harmed("kafka: answers 2 s late", toKafka, 8*time.Second,
			func(p *toxic) { p.add("latency", "down", `"latency":2000,"jitter":500`) }, ""),
		harmed("kafka: 20 kB a second", toKafka, 8*time.Second,
			func(p *toxic) { p.add("bandwidth", "down", `"rate":20`) }, ""),
		harmed("kafka: one byte at a time", toKafka, 2*time.Second,
			func(p *toxic) { p.add("slicer", "down", `"average_size":1,"size_variation":0,"delay":10`) }, ""),
		harmed("kafka: reset within an answer", toKafka, 5*time.Second,
			func(p *toxic) { p.add("reset_peer", "down", `"timeout":200`) }, ""),
		harmed("kafka: ends after 20 kB", toKafka, 5*time.Second,
			func(p *toxic) { p.add("limit_data", "down", `"bytes":20000`) }, ""),
		harmed("kafka: closes slowly", toKafka, 3*time.Second, func(p *toxic) {
			p.add("slow_close", "down", `"delay":3000`)
			p.add("limit_data", "down", `"bytes":50000`)
		}, ""),
		answered("kafka: not the leader", 8, kerr.NotLeaderForPartition),
		answered("kafka: leader not available", 8, kerr.LeaderNotAvailable),
		answered("kafka: unknown topic", 5, kerr.UnknownTopicOrPartition),
		answered("kafka: storage error", 8, kerr.KafkaStorageError),
		answered("kafka: unknown server error", 8, kerr.UnknownServerError),
		answered("kafka: corrupt message", 5, kerr.CorruptMessage),
		answered("kafka: fenced leader epoch", 5, kerr.FencedLeaderEpoch),
		answered("kafka: throttled", 5, kerr.ThrottlingQuotaExceeded),
		{"kafka: metadata is refused", func(x *trial) {
			n := 0
			x.k.fake.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
				if n++; n > 20 {
					return nil, nil, false
				}
				x.k.fake.KeepControl()
				return nil, errors.New("no metadata"), true // the connection is closed
			})
			x.during(5 * time.Second)
		}},
		{"kafka: partitions added", func(x *trial) {
			x.k.addPartitions(x.t, "feed", 5)
			x.during(2 * time.Second)
		}},
		{"kafka: 3,000 bad records", func(x *trial) {
			was := x.node.metric("tapecast_ingest_bad_total")
			for i := range 3000 {
				bad := [...]string{"{", "\xff\xfe", `{"s":"a","s":"b"}`, "[]", strings.Repeat("[", 500)}[i%5]
				x.w.send("bad", anyPartition, nil, []byte(bad))
			}
			eventually(x.t, patience, "they are counted", func() bool {
				return x.node.metric("tapecast_ingest_bad_total")-was >= 1000
			})
			x.note("%.0f counted as bad", x.node.metric("tapecast_ingest_bad_total")-was)
		}},
	}
}

// answered lets the broker answer so many fetches with an error in each partition.
func answered(name string, times int, why *kerr.Error) fault {
	return fault{name, func(x *trial) {
		done := make(chan struct{})
		end := sync.OnceFunc(func() { close(done) })
		n := 0
		x.k.fake.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
			if n++; n > times {
				return nil, nil, false
			}
			if x.k.fake.KeepControl(); n == times {
				end()
			}
			return refusedFetch(r.(*kmsg.FetchRequest), why.Code), nil, true
		})
		within(x.t, patience, "the broker's refusals", done)
	}}
}

func refusedFetch(r *kmsg.FetchRequest, code int16) kmsg.Response {
	resp := r.ResponseKind().(*kmsg.FetchResponse)
	for _, topic := range r.Topics {
		t := kmsg.NewFetchResponseTopic()
		t.Topic, t.TopicID = topic.Topic, topic.TopicID
		for _, part := range topic.Partitions {
			p := kmsg.NewFetchResponseTopicPartition()
			p.Partition, p.ErrorCode = part.Partition, code
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}
